import { useEffect, useState } from "preact/hooks";
import { artifactUrl, cancelJob, getJob, listChildren, Problem, releaseJob, retryJob, AT_REST, type Job } from "../api";
import { ago, bytes, duration, figures, label } from "../format";
import { resultView } from "../domains";
import { go } from "../router";
import { Charts } from "./Chart";
import { ProgressBar, StateMark } from "./Jobs";
import { LiveJob } from "./live";

export function JobPage({ id }: { id: string }) {
  const [live] = useState(() => new LiveJob(id));
  useEffect(() => {
    void live.open();
    return () => live.close();
  }, []);
  const job = live.job.value;
  useEffect(() => {
    document.title = `${job?.kind ?? "Job"} · Terrarium`;
  }, [job?.kind]);

  if (!job) {
    return (
      <main class="page">
        <h1>Job</h1>
        <p role={live.problem.value ? "alert" : undefined}>{live.problem.value?.message ?? "Loading…"}</p>
      </main>
    );
  }
  const series = live.metrics.value;
  const files = live.artifacts.value.filter((a) => !a.media_type.startsWith("image/"));
  return (
    <main class="page">
      <p class="back">
        <a href="/jobs">Jobs</a>
      </p>
      <div class="title">
        <h1>{job.kind}</h1>
        <StateMark state={job.state} />
        <Actions job={job} />
      </div>
      <Times job={job} />
      {!AT_REST.has(job.state) && <ProgressBar job={job} />}
      {job.error && job.state !== "succeeded" && (
        <p class="card error" role="alert">
          <b>{job.error.code}</b>: {job.error.message}
        </p>
      )}
      {job.state === "succeeded" && <Result job={job} />}
      {Object.keys(series).length > 0 && <h2>Curves</h2>}
      <Charts series={series} />
      <Previews previews={live.previews.value} />
      <div class="columns">
        <section>
          <h2>Config</h2>
          <Facts facts={withoutKind(job.config)} />
        </section>
        <section>
          <h2>Log</h2>
          <pre class="card log" tabIndex={0} aria-label="The end of the log">
            {live.log.value.trim() || "Nothing logged yet."}
          </pre>
          {files.length > 0 && <h2>Files</h2>}
          <ul class="files" hidden={!files.length}>
            {files.map((a) => (
              <li key={a.id}>
                <a href={artifactUrl(a.id)} download={a.name}>
                  {a.name}
                </a>{" "}
                <span class="quiet">{bytes(a.size)}</span>
              </li>
            ))}
          </ul>
        </section>
      </div>
    </main>
  );
}

function Actions({ job }: { job: Job }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const attempt = (what: () => Promise<void>) => async (): Promise<void> => {
    try {
      setProblem(null);
      await what();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  const cancel = attempt(async () => void (await cancelJob(job.id)));
  const retry = attempt(async () => go(`/jobs/${(await retryJob(job.id)).id}`));
  const release = attempt(async () => (await releaseJob(job.id), location.reload()));
  const ended = AT_REST.has(job.state);
  return (
    <span class="actions">
      {job.state === "succeeded" && job.kind === "world-model.train" && (
        <a class="button primary" href={`/?checkpoint=${job.id}`}>
          Play
        </a>
      )}
      {!ended && (
        <button type="button" disabled={job.state === "cancelling"} onClick={cancel}>
          Cancel
        </button>
      )}
      {ended && (
        <button type="button" onClick={retry}>
          {job.state === "succeeded" ? "Run again" : "Retry"}
        </button>
      )}
      {job.state === "quarantined" && (
        <button type="button" onClick={release}>
          Go on
        </button>
      )}
      {problem && (
        <span class="error" role="alert">
          {problem.message}
        </span>
      )}
    </span>
  );
}

function Times({ job }: { job: Job }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  return (
    <p class="quiet">
      submitted {ago(job.created_at)}
      {job.started_at && ` · ${job.finished_at ? "took" : "running for"} ${duration((end - Date.parse(job.started_at)) / 1000)}`}
      {job.attempt > 1 && ` · attempt ${job.attempt}`}
      <Family job={job} />
    </p>
  );
}

/** The job that this one tries again or follows, and those that try this one again or follow it. */
function Family({ job }: { job: Job }) {
  const [parent, setParent] = useState<Job | null>(null);
  const [children, setChildren] = useState<Job[]>([]);
  useEffect(() => {
    if (job.parent_id) void getJob(job.parent_id).then(setParent, () => undefined);
  }, [job.parent_id]);
  useEffect(() => void listChildren(job.id).then(setChildren, () => undefined), [job.state]);
  return (
    <>
      {parent && <Relative how={parent.kind === job.kind ? "tries again" : "follows"} job={parent} />}
      {children.map((child) => (
        <Relative key={child.id} how={child.kind === job.kind ? "tried again as" : "followed by"} job={child} />
      ))}
    </>
  );
}

function Relative({ how, job }: { how: string; job: Job }) {
  return (
    <>
      {` · ${how} `}
      <a href={`/jobs/${job.id}`}>
        {job.kind} {job.id.slice(0, 8)}…
      </a>
    </>
  );
}

function Result({ job }: { job: Job }) {
  if (!job.result) return null;
  const View = resultView(job.kind);
  const scalars = Object.fromEntries(Object.entries(job.result).filter(([, x]) => typeof x !== "object"));
  return (
    <section>
      <h2>Result</h2>
      {View && <View result={job.result} />}
      {Object.keys(scalars).length > 0 && <Facts facts={scalars} />}
      {Object.keys(scalars).length < Object.keys(job.result).length && (
        <details>
          <summary>All of it, as JSON</summary>
          <pre class="card log" tabIndex={0}>
            {JSON.stringify(job.result, null, 2)}
          </pre>
        </details>
      )}
    </section>
  );
}

function Facts({ facts }: { facts: Record<string, unknown> }) {
  return (
    <dl class="card facts">
      {Object.entries(facts).map(([name, value]) => (
        <div key={name}>
          <dt>{label(name)}</dt>
          <dd>{isId(value) ? <a href={`/jobs/${value}`}>{value.slice(0, 8)}…</a> : figures(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

const withoutKind = ({ kind: _, ...config }: Job["config"]): Job["config"] =>
  Object.fromEntries(Object.entries(config).sort(([a], [b]) => a.localeCompare(b)));

/** Datasets and checkpoints bear the id of the job that made them. */
const isId = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-/.test(value);

function Previews({ previews }: { previews: Record<string, string> }) {
  const pictures = Object.entries(previews);
  if (!pictures.length) return null;
  return (
    <section>
      <h2>Previews</h2>
      <div class="previews">
        {pictures.map(([name, url]) => (
          <figure class="card" key={name}>
            <a href={url} target="_blank" rel="noreferrer">
              <img src={url} alt={`Newest preview: ${name}`} />
            </a>
            <figcaption>{label(name.replace(/\.\w+$/, ""))}</figcaption>
          </figure>
        ))}
      </div>
    </section>
  );
}
