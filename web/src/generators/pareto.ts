// What runs of generator.align measured (pareto.json, worlds/generators/pareto.py), and which of it is worth having.
// No DOM here.

import type { Artifact, Config, Job } from "../api";

export interface Figures {
  reward: number;
  fd: number;
  diversity: number;
  class_accuracy: number;
}

export interface Row extends Figures {
  step: number; // 0: the base
}

export interface Pareto {
  base: Figures;
  prompts: string[];
  best: number; // a step; 0 where no measurement is within the budgets
  steps: Row[];
}

/** A run as plots show it: its rows begin with the base. */
export interface Run {
  job: Job;
  best: number;
  rows: Row[];
}

/** A measurement. */
export interface Place {
  job: string;
  step: number;
}

export const runOf = (job: Job, pareto: Pareto): Run => ({
  job,
  best: pareto.best,
  rows: [{ step: 0, ...pareto.base }, ...pareto.steps],
});

/** The axis along which a reward costs something: less distance and more diversity are better. */
export type Cost = "fd" | "diversity";

/** Rows of which no other has as high a reward at as low a cost; by rising reward. */
export function front<R extends Figures>(rows: R[], cost: Cost): R[] {
  const price = (row: R): number => (cost === "fd" ? row.fd : -row.diversity);
  const sorted = rows.toSorted((a, b) => b.reward - a.reward || price(a) - price(b));
  const out: R[] = [];
  let cheapest = Infinity;
  for (const row of sorted) {
    if (price(row) < cheapest) out.push(row);
    cheapest = Math.min(cheapest, price(row));
  }
  return out.reverse();
}

/** The budget along an axis, as the run's config sets it. */
export const limitOf = (run: Run, cost: Cost): number =>
  cost === "fd" ? Number(run.job.config.fd_budget) * run.rows[0]!.fd : Number(run.job.config.diversity_budget) * run.rows[0]!.diversity;

/** Of a config: what decides which worlds are measured, and by which reward. */
const MEASURED_BY = [
  ...["generator", "rewards", "own_rewards", "reward_weights", "material", "target", "apply_angle_mask"],
  ...["clip_model", "hps_model", "aesthetic_model", "normal_model"],
  ...["captions", "worlds", "views", "random_view", "sampling_steps", "eta", "cfg"],
];

/** Whether figures of the two runs may stand in one plot. */
export const comparable = (a: Config, b: Config): boolean =>
  MEASURED_BY.every((field) => JSON.stringify(a[field] ?? null) === JSON.stringify(b[field] ?? null));

/** The newest artifact of a name. */
export const newest = (artifacts: Artifact[], name: string): Artifact | undefined =>
  artifacts.filter((a) => a.name === name).toSorted((a, b) => a.created_at.localeCompare(b.created_at)).at(-1);

/** Artifact of the worlds that were drawn at each step; 0 is the base. */
export function sheetsOf(artifacts: Artifact[]): Map<number, string> {
  const out = new Map<number, string>();
  for (const a of artifacts.toSorted((a, b) => a.created_at.localeCompare(b.created_at))) {
    const step = a.name === "after.png" ? /^step (\d+)$/.exec(a.caption)?.[1] : a.name === "before.png" ? "0" : undefined;
    if (step !== undefined) out.set(Number(step), a.id);
  }
  return out;
}

/** Places of an axis that includes `values`, a little beyond both ends, so that what hardly differs looks alike;
 *  logarithmic where they span a decade. */
export function axisOf(values: number[]): { at: (value: number) => number; ticks: number[] } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high / low > 10;
  const through = (x: number): number => (log ? Math.log10(x) : x);
  const pad = Math.max(0.06 * (through(high) - through(low)), 0.02 * Math.abs(through(high))) || 1;
  const [from, to] = [through(low) - pad, through(high) + pad];
  const ticks = log ? decades(from, to) : even(from, to);
  return { at: (value) => (through(value) - from) / (to - from), ticks };
}

/** Some round numbers between two. */
function even(from: number, to: number): number[] {
  const rough = (to - from) / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5].find((n) => n * unit >= rough) ?? 10);
  const count = Math.floor(to / step) - Math.ceil(from / step) + 1;
  return Array.from({ length: count }, (_, i) => Number(((Math.ceil(from / step) + i) * step).toPrecision(12)));
}

/** 1, 2 and 5 of every decade between two powers of ten. */
function decades(from: number, to: number): number[] {
  const powers = Array.from({ length: Math.ceil(to) - Math.floor(from) + 1 }, (_, i) => 10 ** (Math.floor(from) + i));
  return powers.flatMap((p) => [p, 2 * p, 5 * p]).filter((x) => Math.log10(x) >= from && Math.log10(x) <= to);
}
