// The chosen measurement: what it measured, worlds drawn from it, and its promotion.

import { useRef, useState } from "preact/hooks";
import { AT_REST, getJob, getPromoted, newKey, Problem, promote, submitJob, worldFile, type Config, type Job } from "../api";
import { figures } from "../format";
import { ProgressBar } from "../jobs/Jobs";
import { usePoll } from "../poll";
import type { Figures, Run } from "./pareto";
import "../worlds/worlds.css";

const SEEDS = 2 ** 31;

interface Drawn {
  by: string;
  job: Job;
}

const said = (e: unknown): string => (e instanceof Problem ? e.message : String(e));

/** `step` 0 is the base. */
export function Chosen({ run, step }: { run: Run; step: number }) {
  const row = run.rows.find((r) => r.step === step) ?? run.rows[0]!;
  const made = run.job.state === "succeeded";
  return (
    <section class="card chosen-step" aria-labelledby="chosen-step">
      <h2 id="chosen-step">
        {step === 0 ? "The base" : `Step ${step}`}
        {step > 0 && step === run.best && <span class="quiet"> the best within the budgets</span>}
      </h2>
      <dl class="tally">
        <Figure name="Reward" of="reward" row={row} base={run.rows[0]!} />
        <Figure name="Fréchet distance" of="fd" row={row} base={run.rows[0]!} />
        <Figure name="Diversity" of="diversity" row={row} base={run.rows[0]!} />
        <Figure name="Class accuracy" of="class_accuracy" row={row} base={run.rows[0]!} />
      </dl>
      {made || step === 0 ? <Draw run={run} step={step} /> : <p class="quiet">Worlds can be drawn from any measurement once the run has ended well.</p>}
    </section>
  );
}

function Figure({ name, of, row, base }: { name: string; of: keyof Figures; row: Figures; base: Figures }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <b>{figures(row[of])}</b>
        {row !== base && <span class="quiet"> base {figures(base[of])}</span>}
      </dd>
    </div>
  );
}

function Draw({ run, step }: { run: Run; step: number }) {
  const [prompt, setPrompt] = useState("a large castle, on grass");
  const [seed, setSeed] = useState(() => Math.floor(Math.random() * 10_000));
  const [beside, setBeside] = useState(true);
  const [drawn, setDrawn] = useState<Drawn[]>([]);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const once = useRef(newKey());
  const base = { generator: run.job.config.generator ?? null };
  const aligned = { generator: run.job.id, measurement: step };
  const draw = async (e: Event): Promise<void> => {
    e.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      const by = step === 0 ? [] : [{ by: `step ${step}`, from: aligned }];
      if (beside || step === 0) by.unshift({ by: "the base", from: base as typeof aligned });
      const jobs = await Promise.all(by.map((one, i) => submitJob(config(one.from), `${prompt.trim()}, by ${one.by}`.slice(-100), `${once.current}-${i}`)));
      setDrawn([...jobs.map((job, i) => ({ by: by[i]!.by, job })), ...drawn]);
      once.current = newKey();
    } catch (error) {
      setProblem(said(error));
      once.current = newKey();
    }
    setBusy(false);
  };
  const config = (from: Config): Config => ({ kind: "world.sample", prompt: prompt.trim(), seed, ...from });
  return (
    <>
      <form class="draw" onSubmit={draw}>
        <label class="field grow">
          <span>What to draw</span>
          <input name="prompt" required maxLength={500} value={prompt} onInput={(e) => setPrompt(e.currentTarget.value)} />
        </label>
        <label class="field seed">
          <span>Seed</span>
          <input name="seed" type="number" min={0} max={SEEDS - 1} step={1} required value={seed} onInput={(e) => setSeed(e.currentTarget.valueAsNumber || 0)} />
        </label>
        <button type="submit" class="primary" disabled={busy || !prompt.trim()}>
          {busy ? "Submitting…" : "Draw"}
        </button>
        <Promote run={run} step={step} />
        {step > 0 && (
          <label class="check">
            <input type="checkbox" checked={beside} onChange={(e) => setBeside(e.currentTarget.checked)} /> beside the base's, with the same seed
          </label>
        )}
      </form>
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      <ul class="worlds drawn">
        {drawn.map(({ by, job }) => (
          <World key={job.id} by={by} submitted={job} />
        ))}
      </ul>
    </>
  );
}

/** A world on its way, then as a picture that opens it. */
function World({ by, submitted }: { by: string; submitted: Job }) {
  const { value } = usePoll(() => getJob(submitted.id), 700);
  const job = value ?? submitted;
  const { prompt, seed } = job.config as { prompt: string; seed: number };
  return (
    <li class="card tile" data-id={job.id} data-state={job.state}>
      {job.state === "succeeded" ? (
        <video class="tile-picture" src={worldFile(job.id, "turntable.mp4")} poster={worldFile(job.id, "thumbnail.png")} autoplay loop muted playsInline aria-label={`${prompt}, by ${by}`} />
      ) : (
        <span class="tile-picture" aria-hidden="true" />
      )}
      <b>{by}</b>
      <span class="quiet">
        {prompt}, seed {seed}
      </span>
      {job.state === "succeeded" && <a class="button" href={`/worlds/${job.id}`}>Walk in it</a>}
      {job.error && <span class="error">{job.error.message}</span>}
      {!AT_REST.has(job.state) && <ProgressBar job={job} />}
    </li>
  );
}

function Promote({ run, step }: { run: Run; step: number }) {
  const promoted = usePoll(getPromoted, 10_000);
  const [problem, setProblem] = useState("");
  const base = run.job.config.generator as string | null;
  const [generator, measurement] = step === 0 ? [base, null] : [run.job.id, step === run.best ? null : step];
  const draws = promoted.value?.generator === generator && promoted.value?.measurement === measurement;
  const press = async (): Promise<void> => {
    try {
      await promote(generator, measurement);
      setProblem("");
      promoted.refresh();
    } catch (e) {
      setProblem(said(e));
    }
  };
  if (!promoted.value) return null;
  return (
    <>
      <button type="button" disabled={draws} title="What Draw in seconds in Worlds asks" onClick={press}>
        {draws ? "Draws new worlds" : "Let it draw new worlds"}
      </button>
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </>
  );
}
