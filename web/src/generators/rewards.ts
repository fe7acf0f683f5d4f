// Rewards and weights as the form's values hold them: names a line each, numbers with commas between. No DOM here.

import type { Value } from "../jobs/schema";

/** Weights of the chosen rewards, by name. */
export function rewardsOf(values: Record<string, Value>): Map<string, number> {
  const names = String(values["rewards"] ?? "").split("\n").map((name) => name.trim()).filter(Boolean);
  const weights = String(values["reward_weights"] ?? "").split(/[\s,]+/).filter(Boolean).map(Number);
  return new Map(names.map((name, i) => [name, weights[i] ?? 1]));
}

/** The values with a reward's weight changed, or without it where that is null; in the order of `all`. Equal weights
 *  are left out. */
export function withRewards(all: string[], now: ReadonlyMap<string, number>, name: string, weight: number | null): Record<string, Value> {
  const next = all.flatMap((one): [string, number][] => {
    const its = one === name ? weight : (now.get(one) ?? null);
    return its === null ? [] : [[one, its]];
  });
  const differ = new Set(next.map(([, its]) => its)).size > 1;
  return { rewards: next.map(([one]) => one).join("\n"), reward_weights: differ ? next.map(([, its]) => its).join(", ") : "" };
}
