// Metric series as the charts want them. No DOM here.

import type uPlot from "uplot";
import type { Series } from "../api";

/** One job's curves. `times`: seconds since the job began, by step. */
export interface Run {
  id: string;
  name: string;
  series: Series;
  times: ReadonlyMap<number, number>;
}

export type Axis = "step" | "time";
export type Points = [x: number, value: number][];

export interface Line {
  key: string;
  run: number; // index
  points: Points;
}

/** `loss` and `val_loss` share a chart; every other key has its own. */
export function groups(keys: Iterable<string>): [title: string, keys: string[]][] {
  const out = new Map<string, string[]>();
  for (const key of [...new Set(keys)].sort()) {
    const title = key.replace(/^(val|train)[_/]/, "");
    out.set(title, [...(out.get(title) ?? []), key]);
  }
  const rank = (title: string): number => (title.includes("loss") ? 0 : 1); // what everybody looks for first
  return [...out].sort(([a], [b]) => rank(a) - rank(b));
}

/** The lines of one chart: each key of each run that has it. */
export function linesOf(runs: Run[], keys: string[], axis: Axis, smoothing: number): Line[] {
  return runs.flatMap(({ series, times }, run) =>
    keys
      .filter((key) => series[key]?.length)
      .map((key) => ({ key, run, points: along(axis, smooth(series[key]!, smoothing), times) })),
  );
}

/** On the time axis a step without a known time is left out. */
function along(axis: Axis, points: Points, times: ReadonlyMap<number, number>): Points {
  if (axis === "step") return points;
  return points.flatMap(([step, value]): Points => (times.has(step) ? [[times.get(step)!, value]] : []));
}

/** Exponential moving average, its start corrected for having nothing before it; weight 0 changes nothing. */
export function smooth(points: Points, weight: number): Points {
  let mean = 0;
  let share = 0;
  return points.map(([x, value]) => {
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return [x, mean / share];
  });
}

/** Lines over the union of their places; a line without a value at one has a null there. */
export function align(lines: Points[]): uPlot.AlignedData {
  const places = [...new Set(lines.flatMap((line) => line.map(([x]) => x)))].sort((a, b) => a - b);
  const values = lines.map((line) => {
    const at = new Map(line);
    return places.map((x) => at.get(x) ?? null);
  });
  return [places, ...values];
}

/** The value at or before an index of aligned data, which may hold nulls. */
export function valueAt(column: ArrayLike<number | null | undefined>, index: number): number | null {
  for (let i = Math.min(index, column.length - 1); i >= 0; i--) {
    const value = column[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** All values as they were reported: a row for each run, step and key. */
export function csv(runs: Run[]): string {
  const quoted = (text: string): string => `"${text.replace(/"/g, '""')}"`;
  const rows = runs.flatMap(({ id, name, series, times }) =>
    Object.entries(series).flatMap(([key, points]) =>
      points.map(([step, value]) => [id, quoted(name), quoted(key), step, times.get(step) ?? "", value].join(",")),
    ),
  );
  return ["job,name,metric,step,seconds,value", ...rows, ""].join("\n");
}
