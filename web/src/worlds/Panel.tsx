// What can be done with a world: how it is seen, tools and blocks, saving, use, files, earlier versions.

import { useState } from "preact/hooks";
import * as api from "../api";
import { ago } from "../format";
import { PlayableButton } from "../plans/Playable";
import { usePoll } from "../poll";
import { Files } from "./Files";
import { faceColour, SOLID, spoken } from "./palette";
import { Wear } from "./Wear";
import type { Opened } from "./World";
import { TOOLS, VIEWS, type Workshop } from "./workshop";

export function Panel({ opened: { asset, shop }, save }: { opened: Opened; save: (name: string) => Promise<void> }) {
  return (
    <aside class="panel" aria-label="Controls" onClick={giveBack}>
      <section>
        <fieldset class="segments">
          <legend>View</legend>
          {VIEWS.map(({ view, title, key }) => (
            <label key={view}>
              <input type="radio" name="view" checked={shop.view.value === view} onChange={() => shop.setView(view)} />
              <span>
                {title} <kbd>{key}</kbd>
              </span>
            </label>
          ))}
        </fieldset>
      </section>
      <Build shop={shop} />
      <Save key={asset?.id} asset={asset} shop={shop} save={save} />
      {asset && <Use asset={asset} unsaved={shop.unsaved.value} />}
      <Files shop={shop} name={asset?.name ?? "world"} />
      {asset && <History asset={asset} />}
    </aside>
  );
}

/** After a click of the mouse the keys belong to the world again; those who tab through the panel stay in it. */
function giveBack(e: MouseEvent): void {
  const field = e.target instanceof Element && e.target.closest("input[name=name], select, form, a");
  if (!field && e.detail > 0) document.getElementById("world")?.focus({ preventScroll: true });
}

function Build({ shop }: { shop: Workshop }) {
  const mirror = shop.mirror.value;
  return (
    <section>
      <h2>Build</h2>
      <div class="tools" role="group" aria-label="Tool">
        {TOOLS.map(({ tool, title, key }) => (
          <button key={tool} type="button" aria-pressed={shop.tool.value === tool} onClick={() => shop.setTool(tool)}>
            {title} <kbd>{key}</kbd>
          </button>
        ))}
      </div>
      <div class="palette" role="group" aria-label="Block">
        {SOLID.map((type) => (
          <button
            key={type}
            type="button"
            title={spoken(type)}
            aria-label={spoken(type)}
            aria-pressed={shop.type.value === type}
            onClick={() => shop.setType(type)}
          >
            <Cube type={type} />
          </button>
        ))}
      </div>
      <p class="chosen">
        <Cube type={shop.type.value} /> {spoken(shop.type.value)} <kbd>[</kbd> <kbd>]</kbd>
      </p>
      <Wear shop={shop} />
      <div class="row">
        <button type="button" disabled={!shop.canUndo.value} onClick={() => shop.undo()}>
          Undo <kbd>Ctrl Z</kbd>
        </button>
        <button type="button" disabled={!shop.canRedo.value} onClick={() => shop.redo()}>
          Redo <kbd>Ctrl Y</kbd>
        </button>
      </div>
      <div class="row">
        {(["x", "z"] as const).map((axis) => (
          <button
            key={axis}
            type="button"
            aria-pressed={mirror[axis]}
            onClick={() => (shop.mirror.value = { ...mirror, [axis]: !mirror[axis] })}
          >
            Mirror {axis} <kbd>{axis.toUpperCase()}</kbd>
          </button>
        ))}
      </div>
    </section>
  );
}

/** A block as the viewer lights it: top, and the two sides that face the front. */
function Cube({ type }: { type: number }) {
  return (
    <svg viewBox="0 0 28 30" width="26" height="28" aria-hidden="true">
      <path fill={faceColour(type, 3)} d="M14 1l12 6.5-12 6.5L2 7.5z" />
      <path fill={faceColour(type, 5)} d="M2 7.5L14 14v14.5L2 22z" />
      <path fill={faceColour(type, 1)} d="M26 7.5L14 14v14.5L26 22z" />
    </svg>
  );
}

/** `Castle` -> `Castle 2`, `Castle 2` -> `Castle 3`. */
const nextName = (name: string): string => {
  const [, stem, number] = /^(.*?)(?: (\d+))?$/.exec(name)!;
  return `${stem} ${Number(number ?? 1) + 1}`;
};

interface SaveProps {
  asset: api.Asset | null;
  shop: Workshop;
  save: (name: string) => Promise<void>;
}

function Save({ asset, shop, save }: SaveProps) {
  const [name, setName] = useState(asset ? nextName(asset.name) : "My world");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<api.Problem | null>(null);
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    setBusy(true);
    try {
      await save(name);
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof api.Problem ? error : new api.Problem(0, "client", String(error)));
    }
    setBusy(false);
  };
  return (
    <section>
      <h2>{asset ? "Save as a new version" : "Save"}</h2>
      <form class="row" onSubmit={submit}>
        <label class="field grow">
          <span class="unseen">Name</span>
          <input name="name" required maxLength={100} value={name} onInput={(e) => setName(e.currentTarget.value)} />
        </label>
        <button type="submit" class={shop.unsaved.value ? "primary" : ""} disabled={busy || (asset !== null && !shop.unsaved.value)}>
          {busy ? "Saving…" : "Save"}
        </button>
      </form>
      {problem && (
        <p class="error" role="alert" data-code={problem.code}>
          {problem.message}
        </p>
      )}
    </section>
  );
}

/** What follows from a saved world: play, and every job that can take it. */
function Use({ asset, unsaved }: { asset: api.Asset; unsaved: boolean }) {
  const kinds = usePoll(api.getJobKinds, 60_000).value;
  return (
    <section>
      <h2>Use</h2>
      {unsaved && <p class="quiet">The version that was saved is used: save first to use yours.</p>}
      <div class="uses">
        <a class="button primary" href={`/?world=${asset.id}`}>
          Play here
        </a>
        {Object.entries(asset.uses).map(([kind, field]) => (
          <a key={kind} class="button" href={`/jobs?${new URLSearchParams({ kind, [field]: asset.id, ...USES[kind]?.asks })}`}>
            {USES[kind]?.title ?? kinds?.[kind]?.title ?? kind}
          </a>
        ))}
        <Train world={asset.id} />
        <PlayableButton title="Make this playable" from={{ world: asset.id }} />
        <a class="button" href={`/library/${asset.id}`}>
          Name, notes, lineage
        </a>
      </div>
    </section>
  );
}

/** Of kinds whose title does not say what they do with a world; `asks`: what their form then begins with. */
const USES: Record<string, { title: string; asks?: Record<string, string> }> = {
  "world.generate": { title: "Refine this", asks: { preset: "words", size: "" } }, // as large as it is
  "dataset.record": { title: "Record episodes here" },
};

/** A world model learns from episodes: the newest that were recorded here. */
function Train({ world }: { world: string }) {
  const { value } = usePoll(() => api.getLineage(world), 10_000, world);
  const data = value?.made_of_it.findLast((a) => a.type === "dataset" && !a.deleted_at);
  if (!value) return null;
  if (!data) return <p class="quiet">Once episodes are recorded here, a world model can be trained on them.</p>;
  return (
    <a class="button" href={`/library/${data.id}`} title={`On ${data.name}, by its tokenizer`}>
      Train a world model on this
    </a>
  );
}

function History({ asset }: { asset: api.Asset }) {
  const { value } = usePoll(() => api.listVersions(asset.id), 10_000, asset.id);
  if (!value || value.length < 2) return null;
  return (
    <section>
      <h2>Versions</h2>
      <ol class="versions">
        {value.map((v) => (
          <li key={v.id}>
            {v.id === asset.id ? <b aria-current="true">{v.name}</b> : v.deleted_at ? <s>{v.name}</s> : <a href={`/worlds/${v.id}`}>{v.name}</a>}
            <span class="quiet">{ago(v.created_at)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
