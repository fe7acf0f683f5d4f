import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { cancelJob, getAsset, getJob, getJobKinds, getPlace, listChildren, Problem, releaseJob, retryJob, AT_REST } from "../api";
import type { Asset, Job, JobKind } from "../api";
import { useAttempt } from "../attempt";
import { ago, duration, figures, label } from "../format";
import { usePoll } from "../poll";
import { assetType, resultView } from "../domains";
import { go } from "../router";
import { Change } from "./Change";
import { Curves, runOf } from "./Curves";
import { Files, Previews } from "./Files";
import { ProgressBar, StateMark } from "./Jobs";
import { LiveJob } from "./live";
import { inWords } from "./place";

export function JobPage({ id }: { id: string }) {
  const [live] = useState(() => new LiveJob(id));
  useEffect(() => {
    void live.open();
    return () => live.close();
  }, []);
  const kinds = usePoll(getJobKinds, 60_000).value;
  const job = live.job.value;
  const metrics = live.metrics.value;
  const place = usePlace(id, job?.state);
  const own = useMemo(() => job && runOf(job, metrics), [job?.id, job?.name, metrics]);
  useEffect(() => {
    document.title = `${job?.name ?? "Job"} · Terrarium`;
  }, [job?.name]);

  if (!job || !own) {
    return (
      <main class="page">
        <h1>Job</h1>
        <p role={live.problem.value ? "alert" : undefined}>{live.problem.value?.message ?? "Loading…"}</p>
      </main>
    );
  }
  const kind = kinds?.[job.kind];
  const artifacts = live.artifacts.value;
  return (
    <main class="page">
      <p class="back">
        <a href="/jobs">Jobs</a>
      </p>
      <div class="title">
        <h1>{job.name}</h1>
        <StateMark state={job.state} />
        <Actions job={job} kind={kind} />
      </div>
      <Times job={job} />
      {!AT_REST.has(job.state) && <ProgressBar job={job} place={place} />}
      <Change job={job} changed={(newer) => (live.job.value = newer)} />
      {job.error && job.state !== "succeeded" && (
        <p class="card error" role="alert">
          <b>{job.error.code}</b>: {job.error.message}
        </p>
      )}
      {kind && <Lineage job={job} kind={kind} />}
      {job.state === "succeeded" && <Result job={job} />}
      <Curves job={job} own={own} />
      <Previews artifacts={artifacts} />
      <Files artifacts={artifacts} />
      <div class="columns">
        <section>
          <h2>Config</h2>
          <Facts facts={settingsOf(job, kind)} />
        </section>
        <section>
          <h2>Log</h2>
          <Log text={live.log.value.trim()} />
        </section>
      </div>
    </main>
  );
}

/** Of a queued job, in words. */
function usePlace(id: string, state: Job["state"] | undefined): string | undefined {
  const ask = async (): Promise<string | null> => (state === "queued" ? inWords(await getPlace(id), false) : null);
  return usePoll(ask, 3000, state).value ?? undefined;
}

/** The end of the log; follows it, unless somebody has scrolled up. */
function Log({ text }: { text: string }) {
  const box = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  return (
    <pre
      ref={box}
      class="card log"
      tabIndex={0}
      aria-label="The end of the log"
      onScroll={({ currentTarget: el }) => {
        follows.current = el.scrollTop + el.clientHeight > el.scrollHeight - 8;
      }}
    >
      {text || "Nothing logged yet."}
    </pre>
  );
}

/** What it was made from, and what it made. */
function Lineage({ job, kind }: { job: Job; kind: JobKind }) {
  const given = Object.keys(kind.inputs)
    .filter((field) => !kind.inputs[field]!.includes("play"))
    .flatMap((field) => [job.config[field]].flat())
    .filter((id): id is string => typeof id === "string");
  const makes = job.state === "succeeded" && kind.makes !== "evaluation";
  if (!given.length && !makes) return null;
  return (
    <p class="lineage-line">
      {given.length > 0 && <span class="quiet">{kind.makes === "evaluation" ? "of " : "made from "}</span>}
      {given.map((id) => (
        <AssetLink key={id} id={id} />
      ))}
      {makes && <span class="quiet">made </span>}
      {makes && <AssetLink id={job.id} />}
    </p>
  );
}

function AssetLink({ id }: { id: string }) {
  const [asset, setAsset] = useState<Asset | "gone" | null>(null);
  useEffect(() => {
    const missing = (e: unknown): void => setAsset(e instanceof Problem && e.status === 404 ? "gone" : null);
    void getAsset(id).then(setAsset, missing);
  }, [id]);
  if (asset === "gone") return <s>{id.slice(0, 8)} (deleted) </s>;
  return (
    <span>
      <a href={`/library/${id}`}>{asset?.name ?? id.slice(0, 8)}</a>{" "}
      <span class="quiet">{asset && assetType(asset.type).title.toLowerCase()}</span>
    </span>
  );
}

function Actions({ job, kind }: { job: Job; kind: JobKind | undefined }) {
  const { attempt, problem } = useAttempt();
  const cancel = attempt(() => cancelJob(job.id));
  const retry = attempt(async () => go(`/jobs/${(await retryJob(job.id)).id}`));
  const release = attempt(async () => (await releaseJob(job.id), location.reload()));
  const ended = AT_REST.has(job.state);
  const action = job.state === "succeeded" && kind && assetType(kind.makes).action?.(job.id);
  return (
    <span class="actions">
      {action && (
        <a class="button primary" href={action.href}>
          {action.title}
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
          {problem}
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
      {job.plan_id && (
        <>
          {` · step ${job.step} of `}
          <a href={`/plans/${job.plan_id}`}>its plan</a>
        </>
      )}
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
      <a href={`/jobs/${job.id}`}>{job.name}</a>
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
          <dd>{figures(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

const isOpen = (value: unknown): boolean => value === null || value === "" || (Array.isArray(value) && !value.length);

/** The config without its kind and its inputs, which are shown apart, and without what was left open. */
const settingsOf = (job: Job, kind: JobKind | undefined): Job["config"] =>
  Object.fromEntries(
    Object.entries(job.config)
      .filter(([name, value]) => name !== "kind" && !(kind && name in kind.inputs) && !isOpen(value))
      .sort(([a], [b]) => a.localeCompare(b)),
  );
