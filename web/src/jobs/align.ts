// Metric series as the charts want them. No DOM here.

import type uPlot from "uplot";
import type { Series } from "../api";

/** `loss` and `val_loss` share a chart; every other key has its own. */
export function groups(series: Series): [title: string, keys: string[]][] {
  const out = new Map<string, string[]>();
  for (const key of Object.keys(series).sort()) {
    const title = key.replace(/^(val|train)[_/]/, "");
    out.set(title, [...(out.get(title) ?? []), key]);
  }
  const rank = (title: string): number => (title.includes("loss") ? 0 : 1); // what everybody looks for first
  return [...out].sort(([a], [b]) => rank(a) - rank(b));
}

/** Lines over the union of their steps; a line without a value at a step has a null there. */
export function align(lines: [step: number, value: number][][]): uPlot.AlignedData {
  const steps = [...new Set(lines.flatMap((line) => line.map(([step]) => step)))].sort((a, b) => a - b);
  const values = lines.map((line) => {
    const at = new Map(line);
    return steps.map((step) => at.get(step) ?? null);
  });
  return [steps, ...values];
}
