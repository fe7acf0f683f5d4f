// All block worlds with their pictures, and the ways to a new one.

import { useEffect, useRef, useState } from "preact/hooks";
import { getPromoted, listAssets, listPlans, newKey, Problem, submitJob, worldFile, type Asset } from "../api";
import { ago } from "../format";
import { StateMark } from "../jobs/Jobs";
import { PlayableButton } from "../plans/Playable";
import { usePoll } from "../poll";
import { go } from "../router";
import { parseMap } from "./map";
import { worldSummary } from "./manifest";
import { keepWorld } from "./save";
import "./worlds.css";

const MOST = 100;
const NEWEST_PLANS = 3;
const MAX_NAME = 100; // characters in the name of a job

export function Worlds() {
  const { value, error } = usePoll(() => listAssets({ type: "block-world" }, MOST), 4000);
  useEffect(() => {
    document.title = "Worlds · Terrarium";
  }, []);
  return (
    <main class="page">
      <div class="title">
        <h1>Worlds</h1>
        <span class="actions">
          <UploadMap />
          <a class="button" href="/worlds/new">
            Build
          </a>
        </span>
      </div>
      <Generate />
      <Plans />
      {error && (
        <p class="error" role="alert">
          {error.message}
        </p>
      )}
      {value && !value.items.length && (
        <p class="card empty">
          <b>No world yet.</b>
          <span>
            Describe one and generate it, <a href="/worlds/new">build</a> one block by block, or upload a map.json.
          </span>
        </p>
      )}
      <ul class="worlds">
        {value?.items.map((asset) => (
          <Tile key={asset.id} asset={asset} />
        ))}
      </ul>
      {value?.next_cursor && (
        <p>
          The newest {MOST} are shown. <a href="/library?type=block-world">Search them all</a>.
        </p>
      )}
    </main>
  );
}

/** Words for a world: drawn at once by the promoted generator, or optimised, where the form of the job asks for the rest. */
function Generate() {
  const [prompt, setPrompt] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const promoted = usePoll(getPromoted, 60_000).value;
  const draw = async (): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      const seed = Math.floor(Math.random() * 2 ** 31);
      const { generator, measurement } = await getPromoted();
      const config = { kind: "world.sample", prompt: prompt.trim(), seed, generator, measurement };
      const job = await submitJob(config, prompt.trim().slice(0, MAX_NAME), newKey());
      go(`/jobs/${job.id}`);
    } catch (e) {
      setProblem(e instanceof Problem ? e.message : String(e));
      setBusy(false);
    }
  };
  const submit = (e: Event): void => {
    e.preventDefault();
    go(`/jobs?${new URLSearchParams({ kind: "world.generate", preset: "words", prompts: prompt.trim() })}`);
  };
  return (
    <form class="card generate" onSubmit={submit}>
      <label class="field">
        <span>What to build</span>
        <input name="prompt" required maxLength={500} placeholder="a stone castle with two towers" value={prompt} onInput={(e) => setPrompt(e.currentTarget.value)} />
      </label>
      <button type="submit" class="primary">
        Generate
      </button>
      <button type="button" disabled={busy || !prompt.trim()} onClick={draw}>
        {busy ? "Submitting…" : "Draw in seconds"}
      </button>
      <PlayableButton title="From prompt to playable" from={{ prompt }} />
      {promoted?.generator && (
        <span class="quiet line-own">
          Draw in seconds asks <a href={`/align/${promoted.generator}`}>{promoted.name}</a>
          {promoted.measurement !== null && `, step ${promoted.measurement}`}. <a href="/align">Choose another</a>
        </span>
      )}
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </form>
  );
}

/** The newest plans: worlds on their way to be played. */
function Plans() {
  const { value } = usePoll(() => listPlans(NEWEST_PLANS), 4000);
  if (!value?.length) return null;
  return (
    <ul class="plans" aria-label="Plans">
      {value.map((plan) => (
        <li key={plan.id}>
          <a href={`/plans/${plan.id}`}>{plan.name}</a> <StateMark state={plan.state} /> <span class="quiet">{ago(plan.created_at)}</span>
        </li>
      ))}
    </ul>
  );
}

function Tile({ asset }: { asset: Asset }) {
  return (
    <li class="card tile" data-id={asset.id}>
      <Picture asset={asset} />
      <a class="asset-link" href={`/worlds/${asset.id}`}>
        <b>{asset.name}</b>
      </a>
      <span class="quiet">{worldSummary(asset.manifest)}</span>
      <span class="quiet">
        {ago(asset.created_at)}
        {asset.made_from.length > 0 && !asset.made_by && " · edited"}
        {asset.made_by && " · generated"}
      </span>
    </li>
  );
}

/** One that came without a picture, from a script for instance, shows its name's first letter. */
function Picture({ asset }: { asset: Asset }) {
  const [missing, setMissing] = useState(false);
  if (missing) {
    return (
      <span class="tile-picture" aria-hidden="true">
        {asset.name.charAt(0)}
      </span>
    );
  }
  return <img class="tile-picture" src={worldFile(asset.id, "thumbnail.png")} alt="" loading="lazy" onError={() => setMissing(true)} />;
}

/** A map.json, checked here, becomes a world and is opened. */
function UploadMap() {
  const input = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const send = async (file: File): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      const text = await file.text();
      const asset = await keepWorld(text, parseMap(text), { name: file.name.replace(/\.json$/i, "") });
      go(`/worlds/${asset.id}`);
    } catch (e) {
      setProblem(`${file.name}: ${e instanceof Error ? e.message : e}`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        aria-label="map.json to upload"
        hidden
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          e.currentTarget.value = ""; // the same file may be chosen again
          if (file) void send(file);
        }}
      />
      <button type="button" disabled={busy} onClick={() => input.current?.click()}>
        {busy ? "Uploading…" : "Upload map.json"}
      </button>
    </>
  );
}
