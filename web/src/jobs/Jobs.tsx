import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { listJobs, listQueues, AT_REST, type Job } from "../api";
import { ago, duration } from "../format";
import { usePoll } from "../poll";
import { go, query } from "../router";
import { JobForm } from "./JobForm";
import { placesOf } from "./place";
import { Queues } from "./Queues";

export function Jobs() {
  const { value, error, refresh } = usePoll(() => listJobs(), 1000);
  const queues = usePoll(listQueues, 2000);
  const places = placesOf(queues.value ?? []);
  const submitted = (job: Job): void => {
    refresh();
    if (query.value.size) go("/jobs", true);
    document.getElementById("jobs-said")!.textContent = `Submitted ${job.name}.`;
  };
  useEffect(() => {
    document.title = "Jobs · Terrarium";
  }, []);
  return (
    <main class="page with-side">
      <div>
        <div class="title">
          <h1>Jobs</h1>
          <a class="button to-form" href="#new-job">
            New job
          </a>
        </div>
        <p id="jobs-said" class="unseen" role="status" />
        {error && (
          <p class="error" role="alert">
            {error.message}
          </p>
        )}
        {value && !value.length && (
          <div class="card empty">
            <h2>Nothing has run yet</h2>
            <p>
              A world model takes two steps: record a dataset in the block world, then train the model on it. Each is a
              job; the preset <code>debug</code> takes seconds.
            </p>
          </div>
        )}
        <ul class="jobs">
          {value?.map((job) => (
            <JobRow key={job.id} job={job} place={places.get(job.id)} />
          ))}
        </ul>
        {queues.value && <Queues queues={queues.value} changed={queues.refresh} />}
      </div>
      <JobForm jobs={value ?? []} submitted={submitted} />
    </main>
  );
}

interface RowProps {
  job: Job;
  href?: string; // of the job's page, if another one
  place?: string | undefined; // in line, in words
  children?: ComponentChildren;
}

export function JobRow({ job, href = `/jobs/${job.id}`, place, children }: RowProps) {
  return (
    <li class="card job" data-state={job.state} data-id={job.id} data-kind={job.kind}>
      <a class="job-link" href={href}>
        <b>{job.name}</b>
        {job.name !== job.kind && <span class="quiet kind">{children ?? job.kind}</span>}
      </a>
      <StateMark state={job.state} />
      <span class="quiet when">{job.started_at ? `${ago(job.created_at)}${took(job)}` : ago(job.created_at)}</span>
      {job.error && job.state !== "succeeded" && <span class="error line">{job.error.message}</span>}
      {!AT_REST.has(job.state) && <ProgressBar job={job} place={place} />}
    </li>
  );
}

function took(job: Job): string {
  if (!job.started_at || !job.finished_at) return "";
  return `, took ${duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)}`;
}

export function StateMark({ state }: { state: Job["state"] }) {
  return (
    <span class="state" data-state={state}>
      {state.replace("_", " ")}
    </span>
  );
}

const WAITS: Partial<Record<Job["state"], string>> = {
  waiting: "until the jobs before it have succeeded",
  queued: "waiting for a worker",
};

export function ProgressBar({ job, place }: { job: Job; place?: string | undefined }) {
  const { step, total, phase, eta_s } = job.progress ?? {};
  const known = step !== undefined && total;
  const text = [
    phase,
    known ? `${step} of ${total}` : null,
    eta_s !== undefined && eta_s !== null && job.state === "running" ? `${duration(eta_s)} left` : null,
  ].filter(Boolean);
  return (
    <div class="progress">
      <progress aria-label={`Progress of ${job.name}`} max={total || 1} value={known ? step : 0} />
      <span class="quiet">{(job.state === "queued" && place) || text.join(" · ") || (WAITS[job.state] ?? "starting")}</span>
    </div>
  );
}
