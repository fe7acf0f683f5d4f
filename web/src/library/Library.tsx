// Everything that jobs made or people brought, found by type, text and tag.

import { useEffect, useState } from "preact/hooks";
import { artifactUrl, listAssets, type Asset, type AssetSummary } from "../api";
import { assetType, knownTypes, sections } from "../domains";
import { ago, bytes } from "../format";
import { usePoll } from "../poll";
import { go, query } from "../router";
import { Disk } from "./Disk";
import { libraryPath, tagsOf, typesOf } from "./filters";
import { Upload } from "./Upload";
import "./library.css";

const PAGE = 50;

export function Library() {
  const type = query.value.get("type") ?? "";
  const text = query.value.get("q") ?? "";
  const tag = query.value.get("tag") ?? "";
  const [most, setMost] = useState(PAGE);
  const { value, error, refresh } = usePoll(() => listAssets({ type, q: text, tag }, most), 4000, `${type} ${text} ${tag} ${most}`);
  useEffect(() => {
    document.title = "Library · Terrarium";
  }, []);
  const show = (change: Record<string, string>): void => go(libraryPath({ type, q: text, tag, ...change }), true);
  const assets = value?.items ?? [];
  const filtered = Boolean(type || text || tag);
  return (
    <main class="page">
      <div class="title">
        <h1>Library</h1>
        <Upload done={refresh} />
      </div>
      <div class="filters">
        <div class="types" role="group" aria-label="Type">
          {["", ...typesOf(knownTypes(), assets, type)].map((t) => (
            <button key={t} type="button" aria-pressed={t === type} onClick={() => show({ type: t })}>
              {t ? assetType(t).plural : "All"}
            </button>
          ))}
        </div>
        <label class="field search">
          <span class="unseen">Search names and notes</span>
          <input
            type="search"
            placeholder="Search names and notes"
            value={text}
            onInput={(e) => show({ q: e.currentTarget.value })}
          />
        </label>
        {tagsOf(assets, tag).length > 0 && (
          <label class="field">
            <span class="unseen">Tag</span>
            <select onChange={(e) => show({ tag: e.currentTarget.value })}>
              <option value="">any tag</option>
              {tagsOf(assets, tag).map((t) => (
                <option key={t} value={t} selected={t === tag}>
                  {t}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {error && (
        <p class="error" role="alert">
          {error.message}
        </p>
      )}
      {value && !assets.length && <Empty filtered={filtered} />}
      <ul class="assets">
        {assets.map((asset) => (
          <Row key={asset.id} asset={asset} />
        ))}
      </ul>
      {value?.next_cursor && most < 200 && (
        <button type="button" class="more" onClick={() => setMost(most + PAGE)}>
          Show more
        </button>
      )}
      {sections().map((Section, i) => (
        <Section key={i} />
      ))}
      <Disk />
    </main>
  );
}

function Empty({ filtered }: { filtered: boolean }) {
  return (
    <p class="card empty">
      {filtered ? (
        <span>
          Nothing like that is here. <a href="/library">Show everything</a>.
        </span>
      ) : (
        <span>
          Nothing here yet. <a href="/jobs?kind=dataset.record">Record a dataset</a>.
        </span>
      )}
    </p>
  );
}

function Row({ asset }: { asset: AssetSummary }) {
  const view = assetType(asset.type);
  const action = view.action?.(asset.id);
  const summary = view.summary(asset);
  return (
    <li class="card asset" data-id={asset.id} data-type={asset.type}>
      <Thumbnail asset={asset} />
      <div class="asset-facts">
        <a class="asset-link" href={`/library/${asset.id}`}>
          <b>{asset.name}</b>
        </a>
        <span class="quiet">
          {[view.title, summary].filter(Boolean).join(" · ")}
        </span>
        <span class="quiet">
          {asset.id === "shipped" ? "with Terrarium" : ago(asset.created_at)}
          {asset.size !== null && ` · ${bytes(asset.size)}`}
          {asset.tags.map((t) => (
            <span key={t} class="tag">
              {t}
            </span>
          ))}
        </span>
      </div>
      <div class="asset-glance">{view.glance && <view.glance asset={asset} />}</div>
      {action && (
        <a class="button primary" href={action.href} aria-label={`${action.title}: ${asset.name}`}>
          {action.title}
        </a>
      )}
    </li>
  );
}

/** The newest picture of the job that made it, its own, or its type's first letter. */
function Thumbnail({ asset }: { asset: Asset }) {
  const [missing, setMissing] = useState(false);
  const type = assetType(asset.type);
  const picture = asset.preview ? artifactUrl(asset.preview) : type.picture?.(asset);
  if (!picture || missing) {
    return (
      <span class="thumbnail" aria-hidden="true">
        {type.title.charAt(0)}
      </span>
    );
  }
  return <img class="thumbnail" src={picture} alt="" loading="lazy" onError={() => setMissing(true)} />;
}
