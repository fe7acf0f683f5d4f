import { describe, expect, it } from "vitest";
import { endurance, judged, realism, retrieval, rollouts } from "../../src/world-model/evaluation";

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

  it("gives the judge's shares by key and window, and says why there are none", () => {
    const judge = { available: true, keys: ["w", "jump"] };
    const judge_share = { "1-16": { w: 0.9, jump: null }, "17-64": { w: 0.7, jump: 0.5 } };
    expect(judged({ judge, judge_share })).toEqual({
      windows: ["1-16", "17-64"],
      byKey: [["w", [0.9, 0.7]], ["jump", [null, 0.5]]],
    });
    expect(judged({ judge: { available: false, reason: "frames of 32x32" }, judge_f1: null })).toBe("frames of 32x32");
    expect(judged(evaluation)).toBeNull();
  });

  it("gives realism by kind of walk and window, with its spread", () => {
    const figures = { frechet_ratio: 2, kid_ratio: 4, two_sample_error: 0.3, legibility: 0.7 };
    const spread = { frechet_ratio: 0.2, kid_ratio: 0.4, two_sample_error: 0.03, legibility: 0.07 };
    const found = realism({
      realism: { "1-16": figures },
      realism_held: { w: { "1-16": figures } },
      realism_spread: { random: { "1-16": spread }, w: { "1-16": spread } },
    });
    expect(found?.windows).toEqual(["1-16"]);
    expect(found?.walks.map(({ text }) => text)).toEqual(["Random walk", "W held"]);
    expect(found?.walks[1]?.rows.map(([, values]) => values)).toEqual([[[2, 0.2]], [[4, 0.4]], [[0.3, 0.03]], [[0.7, 0.07]]]);
    expect(realism({ realism: null })).toBeNull();
    expect(realism(evaluation)).toBeNull();
  });

  it("gives single figures beside what they are held against", () => {
    const facts = endurance({
      yaw: { model: { px_per_degree: 0.7, r2: 0.9 }, simulator: { px_per_degree: 0.73, r2: 1 } },
      memory_psnr: { "2": 21 },
      memory_tokenizer_psnr: 25,
      churn_ratio: 1.1,
      frechet_distance: null,
    });
    expect(facts.map(([, model, reference, text]) => [model, reference, text])).toEqual([
      [0.7, 0.73, "simulator"],
      [21, 25, "tokenizer"],
      [1.1, 1, "simulator"],
    ]);
    expect(endurance(null)).toEqual([]);
  });
});
