// One asset: what it is, where it came from, what it can do.

import { useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { assetType } from "../domains";
import { ago, bytes } from "../format";
import { usePoll } from "../poll";
import { go } from "../router";
import { splitTags } from "./filters";
import "./library.css";

export function AssetPage({ id }: { id: string }) {
  const { value: asset, error, refresh } = usePoll(() => api.getAsset(id), 5000);
  useEffect(() => {
    document.title = `${asset?.name ?? "Library"} · Terrarium`;
  }, [asset?.name]);
  if (!asset) {
    return (
      <main class="page">
        <Back />
        <h1>Library</h1>
        <p role={error ? "alert" : undefined}>{error?.message ?? "Loading…"}</p>
      </main>
    );
  }
  const view = assetType(asset.type);
  return (
    <main class="page">
      <Back />
      <div class="title">
        <h1>{asset.name}</h1>
        <span class="state">{view.title}</span>
        <Uses asset={asset} />
      </div>
      {error && (
        <p class="error" role="alert">
          {error.message}
        </p>
      )}
      <div class="columns">
        <section>
          <h2>Facts</h2>
          <dl class="card facts">
            {[...view.facts(asset), ...origins(asset)].map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
            {asset.made_by && (
              <div>
                <dt>Made by</dt>
                <dd>
                  <a href={`/jobs/${asset.made_by}`}>job {asset.made_by.slice(0, 8)}</a>
                </dd>
              </div>
            )}
          </dl>
          <LineageView id={asset.id} />
        </section>
        <section>
          {asset.preview && (
            <>
              <h2>Preview</h2>
              <img class="card preview" src={api.artifactUrl(asset.preview)} alt={`Newest picture of the job that made ${asset.name}`} />
            </>
          )}
          <h2>Name, tags, notes</h2>
          <Editor key={asset.id} asset={asset} saved={refresh} />
        </section>
      </div>
      {view.page && <view.page asset={asset} />}
    </main>
  );
}

const Back = () => (
  <p class="back">
    <a href="/library">Library</a>
  </p>
);

const origins = (asset: api.Asset): [string, string][] => [
  ["Created", asset.id === "shipped" ? "with Terrarium" : ago(asset.created_at)],
  ...(asset.size === null ? [] : ([["Size", bytes(asset.size)]] as [string, string][])),
  ["ID", asset.id],
];

/** What can be done with it: its room's own action, the jobs that take it, download, delete. */
function Uses({ asset }: { asset: api.Asset }) {
  const kinds = usePoll(api.getJobKinds, 60_000).value;
  const action = assetType(asset.type).action?.(asset.id);
  return (
    <span class="actions">
      {Object.entries(asset.uses).map(([kind, field]) => (
        <a key={kind} class="button" href={`/jobs?kind=${kind}&${field}=${asset.id}`}>
          {kinds?.[kind]?.title ?? kind}
        </a>
      ))}
      <a class="button" href={api.assetDownload(asset.id)} download>
        Download
      </a>
      <Delete asset={asset} />
      {action && (
        <a class="button primary" href={action.href}>
          {action.title}
        </a>
      )}
    </span>
  );
}

/** Asks once more: what is deleted cannot be had back. */
function Delete({ asset }: { asset: api.Asset }) {
  const [sure, setSure] = useState(false);
  const [problem, setProblem] = useState<api.Problem | null>(null);
  const remove = async (): Promise<void> => {
    try {
      await api.deleteAsset(asset.id);
      go("/library");
    } catch (e) {
      setProblem(e instanceof api.Problem ? e : new api.Problem(0, "client", String(e)));
      setSure(false);
    }
  };
  return (
    <>
      <button type="button" onClick={() => (sure ? void remove() : setSure(true))} onBlur={() => setSure(false)}>
        {sure ? `Delete for good${asset.size ? ` (${bytes(asset.size)})` : ""}` : "Delete"}
      </button>
      {problem && (
        <span class="error" role="alert" data-code={problem.code}>
          {problem.message}
        </span>
      )}
    </>
  );
}

function Editor({ asset, saved }: { asset: api.Asset; saved: () => void }) {
  const [name, setName] = useState(asset.name);
  const [tags, setTags] = useState(asset.tags.join(", "));
  const [notes, setNotes] = useState(asset.notes);
  const [said, say] = useState("");
  const [problem, setProblem] = useState<api.Problem | null>(null);
  const save = async (e: Event): Promise<void> => {
    e.preventDefault();
    say("");
    try {
      const changed = await api.changeAsset(asset.id, { name, tags: splitTags(tags), notes });
      setName(changed.name);
      setTags(changed.tags.join(", "));
      setProblem(null);
      say("Saved.");
      saved();
    } catch (error) {
      setProblem(error instanceof api.Problem ? error : new api.Problem(0, "client", String(error)));
    }
  };
  return (
    <form class="card editor" onSubmit={save}>
      <label class="field">
        <span>Name</span>
        <input name="name" required maxLength={100} value={name} onInput={(e) => setName(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Tags, with commas between</span>
        <input name="tags" value={tags} onInput={(e) => setTags(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Notes</span>
        <textarea name="notes" rows={3} value={notes} onInput={(e) => setNotes(e.currentTarget.value)} />
      </label>
      <span class="actions">
        <span class="quiet" role="status">
          {said}
        </span>
        {problem && (
          <span class="error" role="alert">
            {problem.message}
          </span>
        )}
        <button type="submit">Save</button>
      </span>
    </form>
  );
}

/** One step each way; deleted assets are named, but have no page any more. */
function LineageView({ id }: { id: string }) {
  const { value } = usePoll(() => api.getLineage(id), 10_000);
  if (!value?.made_from.length && !value?.made_of_it.length) return null;
  return (
    <>
      <h2>Lineage</h2>
      <dl class="card lineage">
        <Briefs title="Made from" of={value.made_from} />
        <Briefs title="Used to make" of={value.made_of_it} />
      </dl>
    </>
  );
}

function Briefs({ title, of }: { title: string; of: api.AssetBrief[] }) {
  if (!of.length) return null;
  return (
    <div>
      <dt>{title}</dt>
      {of.map((a) => (
        <dd key={a.id}>
          {a.deleted_at ? <s>{a.name}</s> : <a href={`/library/${a.id}`}>{a.name}</a>}{" "}
          <span class="quiet">
            {assetType(a.type).title.toLowerCase()}
            {a.deleted_at && ", deleted"}
          </span>
        </dd>
      ))}
    </div>
  );
}
