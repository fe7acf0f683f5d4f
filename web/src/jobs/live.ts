// One job, live: what REST knows first, then every event of its stream.

import { signal } from "@preact/signals";
import * as api from "../api";

const LOG_LINES = 400;
const REDRAW_MS = 250;

export class LiveJob {
  readonly job = signal<api.Job | null>(null);
  readonly problem = signal<api.Problem | null>(null);
  readonly metrics = signal<api.Series>({});
  readonly previews = signal<Record<string, string>>({}); // name -> URL of the newest picture
  readonly artifacts = signal<api.Artifact[]>([]);
  readonly log = signal("");

  private points = new Map<string, Map<number, number>>();
  private stream: EventSource | null = null;
  private redraw = 0;
  private gone = false;

  constructor(readonly id: string) {}

  async open(): Promise<void> {
    try {
      this.job.value = await api.getJob(this.id);
    } catch (error) {
      this.problem.value = error as api.Problem;
      return;
    }
    const after = this.job.value.last_seq;
    await this.catchUp();
    if (!this.gone && !api.AT_REST.has(this.job.value.state)) this.listen(after);
  }

  close(): void {
    this.gone = true;
    this.stream?.close();
    clearTimeout(this.redraw);
  }

  /** Metrics, files and log so far; each may be missing without harm to the others. */
  private async catchUp(): Promise<void> {
    const [series, artifacts, log] = await Promise.allSettled([
      api.getMetrics(this.id),
      api.listArtifacts(this.id),
      api.getLogs(this.id),
    ]);
    if (series.status === "fulfilled") {
      for (const [key, points] of Object.entries(series.value)) for (const [step, x] of points) this.point(key, step, x);
    }
    if (artifacts.status === "fulfilled") {
      this.artifacts.value = artifacts.value;
      const pictures = artifacts.value
        .filter((a) => a.media_type.startsWith("image/"))
        .sort((a, b) => a.created_at.localeCompare(b.created_at));
      this.previews.value = Object.fromEntries(pictures.map((a) => [a.name, api.artifactUrl(a.id)]));
    }
    if (log.status === "fulfilled") this.log.value = log.value;
  }

  private listen(after: number): void {
    const stream = (this.stream = new EventSource(`/v1/jobs/${this.id}/events?after=${after}`));
    const on = <T>(type: string, handle: (data: T) => void): void =>
      stream.addEventListener(type, (e) => handle(JSON.parse((e as MessageEvent<string>).data) as T));

    on<{ state: api.JobState; error?: api.JobError }>("state", ({ state, error }) => {
      this.update({ state, error: error ?? null });
      if (api.AT_REST.has(state)) {
        stream.close();
        void this.settle();
      }
    });
    on<api.Progress>("progress", (progress) => this.update({ progress }));
    on<{ step: number; values: Record<string, number> }>("metrics", ({ step, values }) => {
      for (const [key, value] of Object.entries(values)) this.point(key, step, value);
    });
    on<{ artifact_id: string; name: string }>("preview", ({ artifact_id, name }) => {
      this.previews.value = { ...this.previews.value, [name]: api.artifactUrl(artifact_id) };
    });
    on<{ line: string }>("log", ({ line }) => {
      this.log.value = [...this.log.value.trimEnd().split("\n"), line].slice(-LOG_LINES).join("\n");
    });
  }

  /** The job has ended: its result and last files are in the tables now. */
  private async settle(): Promise<void> {
    this.job.value = await api.getJob(this.id);
    await this.catchUp();
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
      this.metrics.value = Object.fromEntries(
        [...this.points].map(([k, points]) => [k, [...points].sort(([a], [b]) => a - b)]),
      );
    }, REDRAW_MS);
  }
}
