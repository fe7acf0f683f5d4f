// A plan: its steps with their jobs, live, and at its end the way into what it made.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { AT_REST, cancelPlan, getPlan, getJobKinds, releaseGate, retryJob, type Job, type JobKind, type Plan } from "../api";
import { useAttempt } from "../attempt";
import { assetType } from "../domains";
import { ago, duration, label } from "../format";
import { ProgressBar, StateMark } from "../jobs/Jobs";
import { usePoll } from "../poll";

const LOOK_MS = 1000;

export function PlanPage({ id }: { id: string }) {
  const { value: plan, error, refresh } = usePoll(() => getPlan(id), LOOK_MS);
  const kinds = usePoll(getJobKinds, 60_000).value;
  useEffect(() => {
    document.title = `${plan?.name ?? "Plan"} · Terrarium`;
  }, [plan?.name]);
  if (!plan) {
    return (
      <main class="page">
        <h1>Plan</h1>
        <p role={error ? "alert" : undefined}>{error?.message ?? "Loading…"}</p>
      </main>
    );
  }
  return (
    <main class="page">
      <p class="back">
        <a href="/jobs">Jobs</a>
      </p>
      <div class="title">
        <h1>{plan.name}</h1>
        <StateMark state={plan.state} />
        <Actions plan={plan} kinds={kinds} changed={refresh} />
      </div>
      <p class="quiet">
        submitted {ago(plan.created_at)}
        {tookAltogether(plan)}
      </p>
      <ol class="jobs plan-steps">
        {plan.steps.map(({ name, job }) => (
          <StepRow key={name} name={name} job={job} kind={kinds?.[job.kind]} behind={closedBefore(plan, job)}>
            <GateLine plan={plan} step={name} job={job} changed={refresh} />
          </StepRow>
        ))}
      </ol>
    </main>
  );
}

function tookAltogether(plan: Plan): string {
  const ends = plan.steps.map((step) => step.job.finished_at);
  if (ends.includes(null)) return "";
  return `, took ${duration((Math.max(...ends.map((end) => Date.parse(end!))) - Date.parse(plan.created_at)) / 1000)}`;
}

/** The step whose closed gate has stopped this job. */
function closedBefore(plan: Plan, job: Job): string | undefined {
  if (job.state !== "failed") return undefined;
  return plan.steps.find((step) => gateOf(step.job)?.open === false && !job.config["release"] && Object.values(job.config).includes(step.job.id))?.name;
}

const gateOf = (job: Job): { open: boolean; why: string } | undefined => job.result?.gate as { open: boolean; why: string } | undefined;

interface StepProps {
  name: string;
  job: Job;
  kind: JobKind | undefined;
  behind: string | undefined;
  children: ComponentChildren;
}

function StepRow({ name, job, kind, behind, children }: StepProps) {
  const made = job.state === "succeeded" && kind && kind.makes !== "evaluation";
  return (
    <li class="card job" data-state={job.state} data-step={name} data-id={job.id}>
      <a class="job-link" href={`/jobs/${job.id}`}>
        <b>{label(name)}</b> <span class="quiet kind">{kind?.title ?? job.kind}</span>
      </a>
      <StateMark state={job.state} />
      {made && (
        <a class="made" href={kind.makes === "block-world" ? `/worlds/${job.id}` : `/library/${job.id}`}>
          {assetType(kind.makes).title}
        </a>
      )}
      {children}
      {job.error && job.state !== "succeeded" && <span class="error line">{behind ? `Stopped by the closed gate of ${label(behind)}.` : job.error.message}</span>}
      {!AT_REST.has(job.state) && <ProgressBar job={job} />}
    </li>
  );
}

interface GateProps {
  plan: Plan;
  step: string;
  job: Job;
  changed: () => void;
}

/** Whether what a step made may be gone on from, by which figures, and the way past a gate that has stopped the plan. */
function GateLine({ plan, step, job, changed }: GateProps) {
  const [asked, setAsked] = useState(false);
  const gate = gateOf(job);
  if (!gate) return null;
  const stopped = plan.steps.filter((one) => AT_REST.has(one.job.state) && one.job.state !== "succeeded" && Object.values(one.job.config).includes(job.id));
  return (
    <div class="gate" data-gate={gate.open ? "open" : "closed"}>
      <span class={gate.open ? "quiet" : "error"}>
        Gate {gate.open ? "open" : "closed"}: {gate.why}
      </span>
      {!gate.open && stopped.length > 0 && !asked && (
        <button type="button" onClick={() => setAsked(true)}>
          Release…
        </button>
      )}
      {asked && <Release plan={plan} step={step} next={stopped.map((one) => label(one.name))} done={() => (setAsked(false), changed())} />}
    </div>
  );
}

interface ReleaseProps {
  plan: Plan;
  step: string;
  next: string[];
  done: () => void;
}

/** Asks why, which the next model records. */
function Release({ plan, step, next, done }: ReleaseProps) {
  const [why, setWhy] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const { attempt, problem } = useAttempt(done);
  const release = attempt(() => releaseGate(plan.id, step, why.trim()));
  return (
    <form class="release" onSubmit={(e) => (e.preventDefault(), release())}>
      <label class="field">
        <span>Why {next.join(" and ")} may go on all the same; it is recorded</span>
        <input name="why" required maxLength={500} value={why} onInput={(e) => setWhy(e.currentTarget.value)} ref={input} />
      </label>
      <span class="actions">
        <button type="submit" class="primary" disabled={!why.trim()}>
          Release the gate of {label(step)}
        </button>
        <button type="button" onClick={done}>
          Keep it closed
        </button>
      </span>
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </form>
  );
}

interface ActionsProps {
  plan: Plan;
  kinds: Record<string, JobKind> | null;
  changed: () => void;
}

function Actions({ plan, kinds, changed }: ActionsProps) {
  const { attempt, problem } = useAttempt(changed);
  const jobs = plan.steps.map((step) => step.job);
  const play = playLink(jobs, kinds);
  const stopped = jobs.find((job) => job.state === "failed" || job.state === "quarantined") ?? jobs.find((job) => job.state === "cancelled");
  return (
    <span class="actions">
      {play && (
        <a class="button primary" href={play}>
          Play
        </a>
      )}
      {jobs.some((job) => !AT_REST.has(job.state)) && (
        <button type="button" onClick={attempt(() => cancelPlan(plan.id))}>
          Cancel
        </button>
      )}
      {stopped && !closedBefore(plan, stopped) && (
        <button type="button" onClick={attempt(() => retryJob(stopped.id))}>
          Go on from {label(stopped.step ?? "").toLowerCase()}
        </button>
      )}
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </span>
  );
}

/** The newest world model that the plan has made, in the world that it knows. */
function playLink(jobs: Job[], kinds: Record<string, JobKind> | null): string | null {
  const model = jobs.findLast((job) => job.state === "succeeded" && kinds?.[job.kind]?.makes === "world-model");
  if (!model) return null;
  const world = jobs.map((job) => job.config.map).find((map) => typeof map === "string");
  return `/?${new URLSearchParams({ checkpoint: model.id, ...(world ? { world: world as string } : {}) })}`;
}
