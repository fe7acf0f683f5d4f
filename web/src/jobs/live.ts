// One job, live: what REST knows first, then every event of its stream.

import { signal } from "@preact/signals";
import * as api from "../api";

const LOG_LINES = 400;
const REDRAW_MS = 250;
const RETRY_MS = 2000;

export class LiveJob {
  readonly job = signal<api.Job | null>(null);
  readonly problem = signal<api.Problem | null>(null);
  readonly metrics = signal<api.Metrics>({ series: {}, times: [] });
  readonly artifacts = signal<api.Artifact[]>([]);
  readonly log = signal("");

  private points = new Map<string, Map<number, number>>();
  private times = new Map<number, number>();
  private stream: EventSource | null = null;
  private redraw = 0;
  private retry = 0;
  private gone = false;

  constructor(readonly id: string) {}

  async open(): Promise<void> {
    try {
      this.job.value = await api.getJob(this.id);
    } catch (error) {
      this.problem.value = error as api.Problem;
      if (this.problem.value.status !== 404) this.openLater();
      return;
    }
    const after = this.job.value.last_seq;
    await this.catchUp();
    if (!this.gone && !api.AT_REST.has(this.job.value.state)) this.listen(after);
  }

  /** From the start again: the gateway was away, or refused for now. */
  private openLater(): void {
    this.stream?.close();
    if (!this.gone) this.retry = window.setTimeout(() => void this.open(), RETRY_MS);
  }

  close(): void {
    this.gone = true;
    this.stream?.close();
    clearTimeout(this.redraw);
    clearTimeout(this.retry);
  }

  /** Metrics, files and log so far; each may be missing without harm to the others. */
  private async catchUp(): Promise<void> {
    const [metrics, artifacts, log] = await Promise.allSettled([
      api.getMetrics(this.id),
      api.listArtifacts(this.id),
      api.getLogs(this.id),
    ]);
    if (metrics.status === "fulfilled") {
      const { series, times } = metrics.value;
      for (const [step, s] of times) this.times.set(step, s);
      for (const [key, points] of Object.entries(series)) for (const [step, x] of points) this.point(key, step, x);
    }
    if (artifacts.status === "fulfilled") this.artifacts.value = artifacts.value;
    if (log.status === "fulfilled") this.log.value = log.value;
  }

  private listen(after: number): void {
    const stream = (this.stream = new EventSource(`/v1/jobs/${this.id}/events?after=${after}`));
    stream.onopen = () => (api.reachable.value = true);
    stream.onerror = () => {
      if (this.gone) return;
      api.reachable.value = false; // the next answer says otherwise
      this.openLater();
    };
    const on = <T>(type: string, handle: (data: T) => void): void =>
      stream.addEventListener(type, (e) => handle(JSON.parse((e as MessageEvent<string>).data) as T));

    on<{ state: api.JobState; error?: api.JobError }>("state", ({ state, error }) => {
      const began = state === "running" && !this.job.value?.started_at ? { started_at: new Date().toISOString() } : {};
      this.update({ state, error: error ?? null, ...began });
      if (api.AT_REST.has(state)) {
        stream.close();
        void this.settle();
      }
    });
    on("edited", () => void api.getJob(this.id).then((job) => this.update(job)));
    on<api.Progress>("progress", (progress) => this.update({ progress }));
    on<{ step: number; values: Record<string, number> }>("metrics", ({ step, values }) => {
      const began = this.job.value?.started_at;
      if (began && !this.times.has(step)) this.times.set(step, (Date.now() - Date.parse(began)) / 1000);
      for (const [key, value] of Object.entries(values)) this.point(key, step, value);
    });
    on<Omit<api.Artifact, "created_at">>("file", (file) => {
      if (this.artifacts.value.some((a) => a.id === file.id)) return;
      this.artifacts.value = [...this.artifacts.value, { ...file, created_at: new Date().toISOString() }];
    });
    on<{ line: string }>("log", ({ line }) => {
      this.log.value = [...this.log.value.trimEnd().split("\n"), line].slice(-LOG_LINES).join("\n");
    });
  }

  /** The job has ended: its result and last files are in the tables now. */
  private async settle(): Promise<void> {
    try {
      this.job.value = await api.getJob(this.id);
      await this.catchUp();
    } catch {
      this.openLater();
    }
  }

  private update(change: Partial<api.Job>): void {
    if (this.job.value) this.job.value = { ...this.job.value, ...change };
  }

  private point(key: string, step: number, value: number): void {
    let line = this.points.get(key);
    if (!line) this.points.set(key, (line = new Map()));
    line.set(step, value);
    this.redraw ||= window.setTimeout(() => {
      this.redraw = 0;
      const sorted = (points: Map<number, number>) => [...points].sort(([a], [b]) => a - b);
      this.metrics.value = {
        series: Object.fromEntries([...this.points].map(([k, points]) => [k, sorted(points)])),
        times: sorted(this.times),
      };
    }, REDRAW_MS);
  }
}
