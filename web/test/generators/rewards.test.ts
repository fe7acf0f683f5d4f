import { expect, it } from "vitest";
import { rewardsOf, withRewards } from "../../src/generators/rewards";

const ALL = ["palette", "symmetry", "support"];

it("reads what a preset says", () => {
  expect([...rewardsOf({ rewards: "palette\nsupport", reward_weights: "2, 0.5" })]).toEqual([["palette", 2], ["support", 0.5]]);
  expect([...rewardsOf({ rewards: "palette", reward_weights: "" })]).toEqual([["palette", 1]]);
});

it("keeps the schema's order, and weights only where they differ", () => {
  const one = { rewards: "support" };
  expect(withRewards(ALL, one, "palette", 1)).toEqual({ rewards: "palette\nsupport", reward_weights: "" });
  expect(withRewards(ALL, one, "palette", 3)).toEqual({ rewards: "palette\nsupport", reward_weights: "3, 1" });
  expect(withRewards(ALL, one, "support", null)).toEqual({ rewards: "", reward_weights: "" });
});

it("weighs rewards of one's own after the others", () => {
  const values = { rewards: "support", own_rewards: "mine:Tall", reward_weights: "1, 4" };
  expect([...rewardsOf(values)]).toEqual([["support", 1], ["mine:Tall", 4]]);
  expect(withRewards(ALL, values, "palette", 1)).toEqual({ rewards: "palette\nsupport", reward_weights: "1, 1, 4" });
  expect(withRewards(ALL, values, "mine:Tall", 1)).toEqual({ rewards: "support", reward_weights: "" });
});
