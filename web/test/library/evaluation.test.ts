import { describe, expect, it } from "vitest";
import { retrieval, rollouts } from "../../src/library/evaluation";

describe("an evaluation", () => {
  const evaluation = {
    counterfactual_retrieval: { "1": 0.83, "4": 0.68 },
    retrieval_by_key: { "1": { w: 0.58, s: 0.5 }, "4": { w: 0.4, s: 0.3 } },
    chance: 0.1,
    rollout_psnr: { "1": 25.1, "4": 22 },
    copy_last_psnr: { "1": 20, "4": 17 },
  };

  it("gives control by k and key", () => {
    expect(retrieval(evaluation)).toEqual({
      chance: 0.1,
      at: [
        { k: 1, mean: 0.83, byKey: [["w", 0.58], ["s", 0.5]] },
        { k: 4, mean: 0.68, byKey: [["w", 0.4], ["s", 0.3]] },
      ],
    });
    expect(retrieval(null)).toBeNull();
    expect(retrieval({ steps: 3 })).toBeNull();
  });

  it("gives pictures by step, only the rows that were measured", () => {
    expect(rollouts(evaluation)).toEqual({
      steps: [1, 4],
      rows: [
        ["world model, dB", [25.1, 22]],
        ["last picture held still, dB", [20, 17]],
      ],
    });
  });
});
