// The gateway's REST contract (docs/architecture.md), typed, with problem+json turned into `Problem`.

export type JobState =
  | "queued"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelling"
  | "cancelled"
  | "retry_wait"
  | "quarantined";

export interface Progress {
  step?: number;
  total?: number | null;
  phase?: string;
  eta_s?: number | null;
}

export interface JobError {
  code: string;
  message: string;
}

export type Config = Record<string, unknown>;

export interface Job {
  id: string;
  kind: string;
  state: JobState;
  config: Config;
  progress: Progress | null;
  result: Record<string, unknown> | null;
  error: JobError | null;
  attempt: number;
  parent_id: string | null; // the job that this one tries again, or follows if it is of another kind
  last_seq: number; // number of its newest event
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface Checkpoint {
  id: string;
  name: string;
  kind: string;
  manifest: Record<string, unknown>;
  evaluation: Record<string, unknown> | null;
  uses: Record<string, string>; // kinds of jobs that can take it, and as which field
  created_at: string;
}

export interface Dataset {
  id: string;
  name: string;
  manifest: Record<string, unknown>;
  uses: Record<string, string>;
  created_at: string;
}

export interface RecordedPlay {
  id: string;
  seed: number | null;
  checkpoint: string | null;
  world: string | null; // the simulator's; null where it cannot be walked again
  frames: number;
  seconds: number;
  size: number;
  action_names: string[];
  recorded_at: string;
  problem: string | null;
}

export interface RecordedPlays {
  items: RecordedPlay[];
  total: number;
  size: number;
  max_size: number;
}

export interface Artifact {
  id: string;
  name: string;
  media_type: string;
  size: number;
  sha256: string;
  created_at: string;
}

export interface Schema {
  type?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  minimum?: number;
  maximum?: number;
  multipleOf?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  properties?: Record<string, Schema>;
  required?: string[];
}

export interface JobKind {
  schema: Schema;
  presets: Record<string, Config>;
  title: string; // what the job does, as a button says it
  makes: string;
  inputs: Record<string, string[]>; // config field -> the types that it accepts: "dataset", or a checkpoint's kind
}

/** What an input field may be. `misfits`: {field: reason} of what does not fit with this one in its place. */
export interface Candidate {
  id: string;
  type: string;
  name: string;
  created_at: string;
  misfits: Record<string, string>;
}

export type Series = Record<string, [step: number, value: number][]>;

export interface PlaySession {
  id: string;
  ticket: string;
  url: string;
}

/** An RFC 9457 answer. `fields` maps a field's name to what is wrong with it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: Record<string, string> = {},
  ) {
    super(message);
  }
}

interface FieldError {
  loc?: (string | number)[];
  field?: string;
  pointer?: string;
  msg?: string;
  message?: string;
  detail?: string;
}

/** The fields that `errors` speaks of: the last name in each `loc`, past the body and the union's tag. */
export function fieldErrors(errors: FieldError[] | undefined): Record<string, string> {
  const out: Record<string, string> = {};
  for (const e of errors ?? []) {
    const names = (e.loc ?? e.field?.split(".") ?? e.pointer?.split("/") ?? []).filter(
      (part): part is string => typeof part === "string" && part !== "",
    );
    const name = names.at(-1);
    const text = e.msg ?? e.message ?? e.detail;
    if (name && text) out[name] = text;
  }
  return out;
}

async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/v1${path}`, { ...init, headers: { Accept: "application/json", ...init.headers } });
  } catch {
    throw new Problem(0, "unreachable", "The gateway does not answer. Is `terrarium up` still running?");
  }
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    const message = body.detail ?? body.title ?? `${response.status} ${response.statusText}`;
    throw new Problem(
      response.status,
      body.code ?? `http_${response.status}`,
      typeof message === "string" ? message : JSON.stringify(message),
      fieldErrors(body.errors),
    );
  }
  const json = response.headers.get("content-type")?.includes("json");
  return (json ? response.json() : response.text()) as Promise<T>;
}

const post = <T>(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> =>
  request<T>(path, {
    method: "POST",
    ...(body === undefined ? { headers } : { body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } }),
  });

const items = async <T>(path: string): Promise<T[]> => (await request<{ items: T[] }>(path)).items;

export const listCheckpoints = (): Promise<Checkpoint[]> => items("/checkpoints");
export const listDatasets = (): Promise<Dataset[]> => items("/datasets");
export const listPlays = (): Promise<RecordedPlays> => request("/plays");
export const deletePlay = (id: string): Promise<void> => request(`/plays/${id}`, { method: "DELETE" });
export const playPicture = (id: string): string => `/v1/plays/${id}/picture`;
export const listJobs = (): Promise<Job[]> => items("/jobs?limit=50");
export const listChildren = (job: string): Promise<Job[]> => items(`/jobs?parent=${job}`);
export const listArtifacts = (job: string): Promise<Artifact[]> => items(`/jobs/${job}/artifacts`);
export const getJob = (id: string): Promise<Job> => request(`/jobs/${id}`);
export const getJobKinds = (): Promise<Record<string, JobKind>> => request("/job-kinds");
export const getCandidates = async (kind: string, draft: Config): Promise<Record<string, Candidate[]>> =>
  (await post<{ inputs: Record<string, Candidate[]> }>(`/job-kinds/${kind}/candidates`, draft)).inputs;
export const getLogs = (id: string): Promise<string> => request(`/jobs/${id}/logs`, { headers: { Accept: "text/plain" } });
export const getMetrics = async (id: string): Promise<Series> =>
  (await request<{ series: Series }>(`/jobs/${id}/metrics`)).series;
export const submitJob = (config: Config, key: string): Promise<Job> => post("/jobs", config, { "Idempotency-Key": key });
export const cancelJob = (id: string): Promise<Job> => post(`/jobs/${id}/cancel`);
export const retryJob = (id: string): Promise<Job> => post(`/jobs/${id}/retry`);
export const openPlay = (checkpoint: string, seed?: number): Promise<PlaySession> =>
  post("/play/sessions", seed === undefined ? { checkpoint } : { checkpoint, seed });
export const artifactUrl = (id: string): string => `/v1/artifacts/${id}`;

export const releaseJob = (id: string): Promise<Job> => post(`/jobs/${id}/release`);

/** Nothing more happens by itself. */
export const AT_REST: ReadonlySet<JobState> = new Set(["succeeded", "failed", "cancelled", "quarantined"]);
