// One material: on a shape under a lamp, map by map, on a type of blocks; and before it is there, the job that makes it.

import { useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { usePoll } from "../poll";
import { ProgressBar, StateMark } from "../jobs/Jobs";
import { SOLID, NAMES, spoken } from "../worlds/palette";
import { Comparison } from "./Comparison";
import { fromOne, inputsOf, materialFacts, wasFound } from "./manifest";
import { Maps } from "./Maps";
import { Preview } from "./Preview";
import "./materials.css";

/** A material has the id of the job that makes it. */
export function MaterialPage({ id }: { id: string }) {
  const { value: asset, error } = usePoll(() => api.getAsset(id), 2000);
  useEffect(() => {
    document.title = `${asset?.name ?? "Material"} · Terrarium`;
  }, [asset?.name]);
  if (asset) return <Material asset={asset} />;
  if (error?.status === 404) return <Making id={id} />;
  return (
    <main class="page">
      <Back />
      <h1>Material</h1>
      <p role={error ? "alert" : undefined}>{error?.message ?? "Loading…"}</p>
    </main>
  );
}

const Back = () => (
  <p class="back">
    <a href="/materials">Materials</a>
  </p>
);

function Making({ id }: { id: string }) {
  const { value: job, error } = usePoll(() => api.getJob(id), 1000);
  return (
    <main class="page">
      <Back />
      <div class="title">
        <h1>{job?.name ?? "Material"}</h1>
        {job && <StateMark state={job.state} />}
        {job && (
          <span class="actions">
            <a class="button" href={`/jobs/${id}`}>
              The job
            </a>
          </span>
        )}
      </div>
      {error && !job && (
        <p class="error" role="alert">
          {error.status === 404 ? "There is no material of this id." : error.message}
        </p>
      )}
      {job && !api.AT_REST.has(job.state) && <ProgressBar job={job} />}
      {job?.error && job.state !== "succeeded" && (
        <p class="card error" role="alert">
          <b>{job.error.code}</b>: {job.error.message}
        </p>
      )}
    </main>
  );
}

function Material({ asset }: { asset: api.Asset }) {
  const truth = useTruth(asset);
  return (
    <main class="page material">
      <Back />
      <div class="title">
        <h1>{asset.name}</h1>
        <span class="actions">
          <a class="button" href={api.assetDownload(asset.id)} download>
            Download
          </a>
          {"material.infer" in asset.uses && (
            <a class="button" href={`/jobs?kind=material.infer&views=${asset.id}`}>
              Find its maps from pictures
            </a>
          )}
          <a class="button" href={`/library/${asset.id}`}>
            Name, notes, lineage
          </a>
        </span>
      </div>
      <Preview asset={asset} truth={truth} />
      <Maps asset={asset} truth={truth} />
      {wasFound(asset.manifest) && <Views asset={asset} />}
      <div class="columns">
        <section>
          <h2>Facts</h2>
          <dl class="card facts">
            {materialFacts(asset.manifest).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </section>
        <section>
          {truth && (
            <>
              <h2>Beside the truth</h2>
              <Comparison of={asset.manifest} />
            </>
          )}
          <Apply material={asset.id} />
        </section>
      </div>
    </main>
  );
}

/** The material whose rendered views it was found from. */
function useTruth(asset: api.Asset): api.Asset | null {
  const [truth, setTruth] = useState<api.Asset | null>(null);
  const from = inputsOf(asset.manifest).views;
  useEffect(() => {
    if (from) void api.getAsset(from).then((found) => setTruth(found.type === "material" ? found : null), () => setTruth(null));
  }, [from]);
  return truth;
}

function Views({ asset: { id, manifest } }: { asset: api.Asset }) {
  const pictures = fromOne(manifest) ? { diffuse: "Diffuse texture" } : { view_0: "View 1", view_1: "View 2", view_2: "View 3" };
  return (
    <section>
      <h2>{fromOne(manifest) ? "Found from" : "Views"}</h2>
      <span class="glances large">
        {Object.entries(pictures).map(([name, what]) => (
          <img key={name} src={api.materialFile(id, name)} alt={what} loading="lazy" />
        ))}
      </span>
    </section>
  );
}

/** Opens a world with the material on a type of its blocks. */
function Apply({ material }: { material: string }) {
  const worlds = usePoll(() => api.listAssets({ type: "block-world" }, 100), 10_000).value?.items;
  const [world, setWorld] = useState("");
  const [type, setType] = useState(NAMES.indexOf("Stone"));
  const chosen = world || worlds?.[0]?.id;
  return (
    <section class="apply">
      <h2>On blocks of a world</h2>
      {worlds?.length === 0 && (
        <p class="quiet">
          There is no world yet: <a href="/worlds">make one</a> first.
        </p>
      )}
      {chosen && (
        <div class="row">
          <label class="field grow">
            <span>World</span>
            <select name="world" onChange={(e) => setWorld(e.currentTarget.value)}>
              {worlds?.map(({ id, name }) => (
                <option key={id} value={id} selected={id === chosen}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label class="field grow">
            <span>Blocks</span>
            <select name="type" onChange={(e) => setType(Number(e.currentTarget.value))}>
              {SOLID.map((one) => (
                <option key={one} value={one} selected={one === type}>
                  {spoken(one)}
                </option>
              ))}
            </select>
          </label>
          <a class="button primary" href={`/worlds/${chosen}?${new URLSearchParams({ wear: material, on: NAMES[type]! })}`}>
            Put it on
          </a>
        </div>
      )}
    </section>
  );
}
