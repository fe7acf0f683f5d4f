// Rewards and weights as the form's values hold them: names a line each, those of one's own apart, numbers with commas
// between for all. No DOM here.

import type { Value } from "../jobs/schema";

const lines = (value: Value | undefined): string[] => String(value ?? "").split("\n").map((line) => line.trim()).filter(Boolean);

/** Rewards of one's own, `module:Class`. */
export const ownRewards = (values: Record<string, Value>): string[] => lines(values["own_rewards"]);

/** Weights of the chosen rewards by name, own ones last. */
export function rewardsOf(values: Record<string, Value>): Map<string, number> {
  const weights = String(values["reward_weights"] ?? "").split(/[\s,]+/).filter(Boolean).map(Number);
  return new Map([...lines(values["rewards"]), ...ownRewards(values)].map((name, i) => [name, weights[i] ?? 1]));
}

/** The values with a reward's weight changed, or without it where that is null; in the order of `all`, the rewards that
 *  there are. Equal weights are left out. */
export function withRewards(all: string[], values: Record<string, Value>, name: string, weight: number | null): Record<string, Value> {
  const now = rewardsOf(values);
  const next = [...all, ...ownRewards(values)].flatMap((one): [string, number][] => {
    const its = one === name ? weight : (now.get(one) ?? null);
    return its === null ? [] : [[one, its]];
  });
  const differ = new Set(next.map(([, its]) => its)).size > 1;
  return {
    rewards: next.map(([one]) => one).filter((one) => all.includes(one)).join("\n"),
    reward_weights: differ ? next.map(([, its]) => its).join(", ") : "",
  };
}
