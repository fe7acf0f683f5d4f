// The gateway's REST contract (docs/architecture.md), typed, with problem+json turned into `Problem`.

import { signal } from "@preact/signals";

import type * as api from "./openapi";

export type Artifact = api.ArtifactView;
export type Asset = api.AssetView;
export type AssetSummary = api.AssetSummary;
export type AssetBrief = api.Brief;
export type Candidate = api.Candidate;
export type Checkpoint = api.CheckpointView;
export type Delivery = api.DeliveryView;
export type DiskUse = api.DiskUse;
export type Config = Record<string, unknown>;
export type Job = api.JobView;
export type JobError = api.JobError;
export type JobKind = Omit<api.JobKindView, "schema"> & { schema: Schema };
export type JobState = Job["state"];
export type Key = api.KeyView;
export type Lineage = api.Lineage;
export type Metrics = api.Series;
export type Place = api.Place;
export type Plan = api.PlanView;
export type Playable = ({ prompt: string } | { world: string }) & { preset: "debug" | "cpu" | "small" };
export type PlaySession = api.PlayTicket;
export type Progress = api.Progress;
export type Promoted = api.Promoted;
export type Queue = api.QueueView;
export type RecordedPlay = api.PlayView;
export type RecordedPlays = api.PlayList;
export type Scope = Key["scopes"][number];
export type Series = Metrics["series"];
export type Webhook = api.WebhookView;
export type WebhookEvent = Webhook["events"][number];
export type Worker = api.WorkerView;

/** JSON schema, as far as forms read it. */
export interface Schema {
  type?: string;
  description?: string;
  group?: string; // of the fields that few need; forms fold it away
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

/** Whether the gateway asks for an API key: `enter` takes one. */
export const locked = signal(false);

/** False from a request that found no gateway until one that did. */
export const reachable = signal(true);

const unreachable = (): Problem =>
  new Problem(0, "unreachable", "The gateway does not answer. Is `terrarium up` still running?");

/** Of an answer that is no success; `text` should be problem+json. */
export function problemOf(status: number, statusText: string, text: string): Problem {
  let body: { detail?: unknown; title?: unknown; code?: string; errors?: FieldError[] } = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // a proxy's page
  }
  const message = body.detail ?? body.title ?? `${status} ${statusText}`;
  return new Problem(
    status,
    body.code ?? `http_${status}`,
    typeof message === "string" ? message : JSON.stringify(message),
    fieldErrors(body.errors),
  );
}

async function answer(url: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
    reachable.value = true;
  } catch {
    reachable.value = false;
    throw unreachable();
  }
  if (response.status === 401) locked.value = true;
  if (!response.ok) throw problemOf(response.status, response.statusText, await response.text().catch(() => ""));
  return response;
}

async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await answer(`/v1${path}`, { ...init, headers: { Accept: "application/json", ...init.headers } });
  if (response.status === 204) return undefined as T;
  const json = response.headers.get("content-type")?.includes("json");
  return (json ? response.json() : response.text()) as Promise<T>;
}

const send = <T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> =>
  request<T>(path, {
    method,
    ...(body === undefined ? { headers } : { body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } }),
  });

const post = <T>(path: string, body?: unknown, headers?: Record<string, string>): Promise<T> =>
  send("POST", path, body, headers);

const items = async <T>(path: string): Promise<T[]> => (await request<{ items: T[] }>(path)).items;

/** Exchanges an API key for a cookie. */
export const enter = async (key: string): Promise<void> => {
  await post("/login", { key });
  locked.value = false;
};

export const listCheckpoints = (): Promise<Checkpoint[]> => items("/checkpoints");
export const listAssets = (
  filters: Record<string, string>,
  limit: number,
): Promise<api.AssetPage> => {
  const given = Object.entries(filters).filter(([, value]) => value);
  return request(`/assets?${new URLSearchParams([...given, ["limit", String(limit)]])}`);
};
export const getAsset = (id: string): Promise<Asset> => request(`/assets/${id}`);
export const getLineage = (id: string): Promise<Lineage> => request(`/assets/${id}/lineage`);
export const changeAsset = (id: string, change: Partial<Pick<Asset, "name" | "notes" | "tags">>): Promise<Asset> =>
  send("PATCH", `/assets/${id}`, change);
export const deleteAsset = (id: string): Promise<void> => request(`/assets/${id}`, { method: "DELETE" });
export const assetDownload = (id: string): string => `/v1/assets/${id}/download`;
/** A zip of an asset's files becomes one, of `type` where that is given. `progress` is told the share that is sent.
 *  (fetch does not say how much of a body is sent.) */
export const uploadAsset = (file: File, progress: (share: number) => void, type?: string): Promise<Asset> =>
  new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", `/v1/uploads?${new URLSearchParams({ file: file.name, ...(type && { type }) })}`);
    xhr.setRequestHeader("Content-Type", "application/zip");
    xhr.upload.onprogress = (e) => progress(e.lengthComputable ? e.loaded / e.total : 0);
    xhr.onload = () =>
      xhr.status < 300
        ? resolve(JSON.parse(xhr.responseText) as Asset)
        : reject(problemOf(xhr.status, xhr.statusText, xhr.responseText));
    xhr.onerror = () => reject(unreachable());
    xhr.send(file);
  });
/** Files of a block world. */
export const worldFile = (id: string, file: "map.json" | "world.glb" | "thumbnail.png" | "turntable.mp4"): string => `/v1/worlds/${id}/${file}`;
/** The text of a map.json becomes a block world; `made_from`: the one that it is a version of. */
export const saveWorld = (map: string, about: { name: string; made_from?: string }): Promise<Asset> =>
  request(`/uploads?${new URLSearchParams({ type: "block-world", file: "map.json", ...about })}`, { method: "POST", body: map, headers: { "Content-Type": "application/json" } });
export const saveThumbnail = (id: string, png: Uint8Array<ArrayBuffer>): Promise<void> =>
  request(`/worlds/${id}/thumbnail.png`, { method: "PUT", body: png, headers: { "Content-Type": "image/png" } });
/** Of a block world, the oldest first, itself among them. */
export const listVersions = (id: string): Promise<api.Version[]> => items(`/worlds/${id}/versions`);
/** The generator that draws new worlds. */
export const getPromoted = (): Promise<Promoted> => request("/promoted-generator");
/** `generator`: null for the one that comes with the project; `measurement`: null for its best. */
export const promote = (generator: string | null, measurement: number | null): Promise<Promoted> =>
  send("PUT", "/promoted-generator", { generator, measurement });
/** A picture of a material or a view set: `basecolor`, `sphere`, `view_0`, ... */
export const materialFile = (id: string, name: string): string => `/v1/materials/${id}/${name}.png`;
export const episodeFrames = (id: string, episode: string): string => `/v1/assets/${id}/episodes/${episode}/frames`;
/** The bytes [start, end) at a URL. */
export const getBytes = async (url: string, start: number, end: number): Promise<Uint8Array> =>
  new Uint8Array(await (await answer(url, { headers: { Range: `bytes=${start}-${end - 1}` } })).arrayBuffer());
export const listPlays = (): Promise<RecordedPlays> => request("/plays");
export const deletePlay = (id: string): Promise<void> => request(`/plays/${id}`, { method: "DELETE" });
export const playPicture = (id: string): string => `/v1/plays/${id}/picture`;
export const getDiskUse = (): Promise<DiskUse> => request("/disk");
export const listJobs = (filters: { kind?: string } = {}): Promise<Job[]> =>
  items(`/jobs?${new URLSearchParams({ limit: "50", ...filters })}`);
export const listChildren = (job: string): Promise<Job[]> => items(`/jobs?parent=${job}`);
export const listArtifacts = (job: string): Promise<Artifact[]> => items(`/jobs/${job}/artifacts`);
export const getJob = (id: string): Promise<Job> => request(`/jobs/${id}`);
export const getJobKinds = (): Promise<Record<string, JobKind>> => request("/job-kinds");
export const getCandidates = async (kind: string, draft: Config): Promise<Record<string, Candidate[]>> =>
  (await post<{ inputs: Record<string, Candidate[]> }>(`/job-kinds/${kind}/candidates`, draft)).inputs;
export const getLogs = (id: string): Promise<string> => request(`/jobs/${id}/logs`, { headers: { Accept: "text/plain" } });
export const getMetrics = (id: string): Promise<Metrics> => request(`/jobs/${id}/metrics`);
/** An Idempotency-Key; not crypto.randomUUID, which plain HTTP beyond localhost lacks. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
/** If `name` is empty, the gateway makes one. `after`: a job that must have succeeded before; empty for none. */
export const submitJob = (config: Config, name: string, key: string, priority = 0, after = ""): Promise<Job> => {
  const given = Object.entries({ name, priority: priority && String(priority), after }).filter(([, value]) => value);
  const query = new URLSearchParams(given as [string, string][]);
  return post(query.size ? `/jobs?${query}` : "/jobs", config, { "Idempotency-Key": key });
};
export const changeJob = (id: string, change: { name?: string; priority?: number; config?: Config }): Promise<Job> =>
  send("PATCH", `/jobs/${id}`, change);
export const getPlace = (id: string): Promise<Place> => request(`/jobs/${id}/place`);
export const listQueues = (): Promise<Queue[]> => items("/queues");
export const pauseQueue = (name: string): Promise<Queue> => post(`/queues/${name}/pause`);
export const resumeQueue = (name: string): Promise<Queue> => post(`/queues/${name}/resume`);
export const cancelQueued = (queue: string): Promise<api.Cancelled> => post("/cancellations", { queue, state: "queued" });
export const listWorkers = (): Promise<Worker[]> => items("/workers");
/** Of an artifact's URL. */
export const getText = async (url: string): Promise<string> => (await answer(url)).text();
export const cancelJob = (id: string): Promise<Job> => post(`/jobs/${id}/cancel`);
export const retryJob = (id: string): Promise<Job> => post(`/jobs/${id}/retry`);
/** From words or a world to a world model that plays in it. */
export const makePlayable = (from: Playable, key: string): Promise<Plan> =>
  post("/playable", from, { "Idempotency-Key": key });
export const submitPlan = (name: string, steps: { name: string; job: Config }[], key: string): Promise<Plan> =>
  post("/plans", { name, steps }, { "Idempotency-Key": key });
export const listPlans = (limit: number): Promise<Plan[]> => items(`/plans?limit=${limit}`);
export const getPlan = (id: string): Promise<Plan> => request(`/plans/${id}`);
export const cancelPlan = (id: string): Promise<Plan> => post(`/plans/${id}/cancel`);
/** Past the closed gate of a plan's step. */
export const releaseGate = (plan: string, step: string, why: string): Promise<Plan> => post(`/plans/${plan}/release`, { step, why });
/** `world`: a block world to play in, where the seed says where. */
export const openPlay = (checkpoint: string, seed: number, world: string | null): Promise<PlaySession> =>
  post("/play/sessions", { checkpoint, seed, world });
export const artifactUrl = (id: string): string => `/v1/artifacts/${id}`;

export const releaseJob = (id: string): Promise<Job> => post(`/jobs/${id}/release`);

export const listKeys = (): Promise<Key[]> => items("/api-keys");
/** `days`: null for a key that does not expire. */
export const makeKey = (name: string, scopes: Scope[], days: number | null): Promise<api.NewKeyView> =>
  post("/api-keys", { name, scopes, expires_in_days: days });
export const revokeKey = (id: string): Promise<void> => request(`/api-keys/${id}`, { method: "DELETE" });
export const listWebhooks = (): Promise<Webhook[]> => items("/webhooks");
export const makeWebhook = (url: string, events: WebhookEvent[]): Promise<api.NewWebhookView> => post("/webhooks", { url, events });
export const changeWebhook = (id: string, change: { enabled: boolean }): Promise<Webhook> => send("PATCH", `/webhooks/${id}`, change);
export const rotateWebhook = (id: string): Promise<api.NewWebhookView> => post(`/webhooks/${id}/rotate`);
export const pingWebhook = (id: string): Promise<Delivery> => post(`/webhooks/${id}/ping`);
export const deleteWebhook = (id: string): Promise<void> => request(`/webhooks/${id}`, { method: "DELETE" });
export const listDeliveries = (id: string): Promise<Delivery[]> => items(`/webhooks/${id}/deliveries?limit=10`);

/** Nothing more happens by itself. */
export const AT_REST: ReadonlySet<JobState> = new Set(["succeeded", "failed", "cancelled", "quarantined"]);
