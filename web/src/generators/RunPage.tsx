// One run of generator.align, live: what was measured, the same worlds before and after, and drawing from a measurement.

import { useEffect, useMemo, useState } from "preact/hooks";
import * as api from "../api";
import { ago, duration, label } from "../format";
import { Chart, COLOURS } from "../jobs/Chart";
import { groups, linesOf } from "../jobs/curves";
import { ProgressBar, StateMark } from "../jobs/Jobs";
import { LiveJob } from "../jobs/live";
import { usePoll } from "../poll";
import { go } from "../router";
import { Chosen } from "./Draw";
import { comparable, newest, runOf, sheetsOf, type Pareto, type Place, type Run } from "./pareto";
import { Scatter } from "./Scatter";
import { Turntables } from "./Turntables";
import "./generators.css";

const CURVES = ["reward", "fd", "diversity", "class_accuracy"]; // the job's own page has all

export function RunPage({ id }: { id: string }) {
  const [live] = useState(() => new LiveJob(id));
  useEffect(() => {
    void live.open();
    return () => live.close();
  }, []);
  const job = live.job.value;
  useEffect(() => {
    document.title = `${job?.name ?? "Run"} · Terrarium`;
  }, [job?.name]);
  if (!job) return <Missing problem={live.problem.value} />;
  return (
    <main class="page">
      <Back />
      <div class="title">
        <h1>{job.name}</h1>
        <StateMark state={job.state} />
        <Actions job={job} />
      </div>
      <p class="quiet">{about(job)}</p>
      {!api.AT_REST.has(job.state) && <ProgressBar job={job} />}
      {job.error && job.state !== "succeeded" && (
        <p class="card error" role="alert">
          <b>{job.error.code}</b>: {job.error.message}
        </p>
      )}
      <Measured live={live} job={job} />
    </main>
  );
}

const Back = () => (
  <p class="back">
    <a href="/align">Align</a>
  </p>
);

function Missing({ problem }: { problem: api.Problem | null }) {
  return (
    <main class="page">
      <Back />
      <h1>Run</h1>
      <p class={problem ? "error" : ""} role={problem ? "alert" : undefined}>
        {problem?.message ?? "Loading…"}
      </p>
    </main>
  );
}

interface AlignConfig {
  rewards: string[];
  own_rewards?: string[];
  reward_weights: number[];
  method: string;
  material: string;
  steps: number;
}

/** What it is after, by which method, since when. */
function about(job: api.Job): string {
  const { rewards, own_rewards = [], reward_weights, method, material, steps } = job.config as unknown as AlignConfig;
  const names = [...rewards.map((name) => label(name).toLowerCase()), ...own_rewards];
  const wanted = names.map((name, i) => `${name}${reward_weights.length ? ` × ${reward_weights[i]}` : ""}`).join(", ");
  const of = rewards.some((name) => name === "palette" || name === "colour") ? ` of ${material.toLowerCase()}` : "";
  const took = job.started_at && job.finished_at ? `, took ${duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)}` : "";
  return `${wanted}${of}, by ${method}, up to ${steps} steps · ${ago(job.created_at)}${took}`;
}

function Actions({ job }: { job: api.Job }) {
  const [problem, setProblem] = useState("");
  const attempt = (what: () => Promise<unknown>) => async (): Promise<void> => {
    try {
      setProblem("");
      await what();
    } catch (e) {
      setProblem(e instanceof api.Problem ? e.message : String(e));
    }
  };
  const retry = attempt(async () => go(`/align/${(await api.retryJob(job.id)).id}`));
  return (
    <span class="actions">
      {!api.AT_REST.has(job.state) && (
        <button type="button" disabled={job.state === "cancelling"} onClick={attempt(() => api.cancelJob(job.id))}>
          {job.state === "cancelling" ? "Stopping…" : "Stop"}
        </button>
      )}
      {job.state === "cancelled" && (
        <button type="button" class="primary" onClick={retry}>
          Go on
        </button>
      )}
      {job.state === "failed" && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
      {job.state === "quarantined" && (
        <button type="button" onClick={attempt(() => api.releaseJob(job.id))}>
          Go on
        </button>
      )}
      <a class="button" href={`/jobs/${job.id}`}>
        Job, log
      </a>
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </span>
  );
}

function Measured({ live, job }: { live: LiveJob; job: api.Job }) {
  const earlier = useEarlier(job);
  const artifacts = useMemo(() => [...earlier, ...live.artifacts.value], [earlier, live.artifacts.value]);
  const pareto = usePareto(artifacts);
  const [others, setOthers] = useState<Run[]>([]);
  const [chosen, choose] = useState<Place | null>(null);
  if (!pareto) {
    const waits = !api.AT_REST.has(job.state);
    return <p class="quiet">{waits ? "The base is measured first." : "Nothing was measured."}</p>;
  }
  const own = runOf(job, pareto);
  const runs = [own, ...others];
  const last = own.rows.at(-1)!.step;
  const place = chosen ?? { job: job.id, step: job.state === "succeeded" ? pareto.best : last };
  const run = runs.find((r) => r.job.id === place.job) ?? own;
  const sheets = sheetsOf(artifacts);
  const after = place.job === job.id && place.step > 0 ? place.step : last;
  const before = sheets.get(0);
  return (
    <>
      {before && <Turntables prompts={pareto.prompts} before={before} after={after ? (sheets.get(after) ?? null) : null} step={after} />}
      <section class="curves" aria-labelledby="pareto">
        <div class="curves-bar">
          <h2 id="pareto">What a reward costs</h2>
          <Others job={job} runs={runs} set={setOthers} />
        </div>
        <p class="quiet">A point is a measurement; the line follows the run, the dashed one is the Pareto front. A run ends in the shaded range, beyond its budget.</p>
        <div class="scatters">
          <Scatter cost="fd" runs={runs} chosen={place} choose={choose} />
          <Scatter cost="diversity" runs={runs} chosen={place} choose={choose} />
        </div>
      </section>
      <Chosen key={run.job.id} run={run} step={place.step} />
      <Curves live={live} job={job} />
    </>
  );
}

/** Artifacts of the runs that this one goes on from. */
function useEarlier(job: api.Job): api.Artifact[] {
  const [found, setFound] = useState<api.Artifact[]>([]);
  useEffect(() => {
    const look = async (): Promise<void> => {
      const all: api.Artifact[] = [];
      for (let at = job.parent_id; at; ) {
        const [parent, artifacts] = await Promise.all([api.getJob(at), api.listArtifacts(at)]);
        if (parent.kind !== job.kind) break;
        all.unshift(...artifacts);
        at = parent.parent_id;
      }
      setFound(all);
    };
    look().catch(() => undefined); // then without them
  }, [job.id]);
  return found;
}

/** The newest pareto.json. */
function usePareto(artifacts: api.Artifact[]): Pareto | null {
  const [found, setFound] = useState<Pareto | null>(null);
  const file = newest(artifacts, "pareto.json")?.id;
  useEffect(() => {
    let gone = false;
    if (file) void load(file).then((pareto) => gone || setFound(pareto), () => undefined);
    return () => void (gone = true);
  }, [file]);
  return found;
}

const load = async (artifact: string): Promise<Pareto> => JSON.parse(await api.getText(api.artifactUrl(artifact))) as Pareto;

interface OthersProps {
  job: api.Job;
  runs: Run[]; // the job's own first
  set: (others: Run[]) => void;
}

/** Chooses other runs that measure the same to stand in the plots. */
function Others({ job, runs, set }: OthersProps) {
  const found = usePoll(() => api.listJobs({ kind: job.kind }), 10_000).value ?? [];
  const [problem, setProblem] = useState("");
  const others = runs.slice(1);
  const offered = found.filter((j) => j.started_at && !runs.some((r) => r.job.id === j.id) && comparable(j.config, job.config));
  const add = async (id: string): Promise<void> => {
    const other = found.find((j) => j.id === id);
    const file = newest(await api.listArtifacts(id), "pareto.json");
    setProblem(file ? "" : "That run has measured nothing.");
    if (other && file) set([...others, runOf(other, await load(file.id))]);
  };
  if (!offered.length && !others.length) return null;
  return (
    <div class="compare">
      {runs.map((run, i) => (
        <span key={run.job.id} class="swatch">
          <i style={{ background: `var(${COLOURS[i]})` }} />
          {i ? <a href={`/align/${run.job.id}`}>{run.job.name}</a> : run.job.name}
          {i > 0 && (
            <button type="button" class="small" aria-label={`Leave out ${run.job.name}`} onClick={() => set(others.filter((o) => o !== run))}>
              ×
            </button>
          )}
        </span>
      ))}
      {runs.length < COLOURS.length && offered.length > 0 && (
        <select aria-label="Compare with" value="" onChange={(e) => void add(e.currentTarget.value).catch((x) => setProblem(String(x.message ?? x)))}>
          <option value="">Compare with…</option>
          {offered.map((j) => (
            <option key={j.id} value={j.id}>
              {j.name}, {String(j.config.method)} ({ago(j.created_at)})
            </option>
          ))}
        </select>
      )}
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </div>
  );
}

/** Reward, distance and diversity as they come. */
function Curves({ live, job }: { live: LiveJob; job: api.Job }) {
  const { series, times } = live.metrics.value;
  const run = useMemo(() => ({ id: job.id, name: job.name, series, times: new Map(times) }), [job.id, series]);
  const shown = new Map(groups(Object.keys(series)));
  if (!CURVES.some((title) => shown.has(title))) return null;
  return (
    <section class="curves" aria-labelledby="curves">
      <h2 id="curves">Step by step</h2>
      <div class="charts of-run">
        {CURVES.filter((title) => shown.has(title)).map((title) => (
          <Chart key={title} title={title} lines={linesOf([run], shown.get(title)!, "step", 0)} axis="step" compared={false} />
        ))}
      </div>
    </section>
  );
}
