import { describe, expect, it } from "vitest";
import { checkpointFacts, checkpointSummary } from "../../src/world-model/manifest";

describe("a checkpoint's manifest", () => {
  const data = { frame_size: [64, 64], fps: 20, source: { terrain: "mixed" }, action_names: ["yaw", "w"] };

  it("is summed up", () => {
    expect(checkpointSummary({ data, parameters: 1_420_000 })).toBe("mixed, 64 × 64, 1.4 M weights");
    expect(checkpointSummary({})).toBe("");
  });

  it("gives facts", () => {
    expect(checkpointFacts({ data, parameters: 64_000, dynamics: { steps: 2900 }, machine: { precision: "bf16" } })).toEqual([
      ["Weights", "64 k"],
      ["Terrain", "mixed"],
      ["Frame size", "64 × 64"],
      ["Frames a second", "20"],
      ["Actions", "yaw, w"],
      ["Training steps", "2,900"],
      ["Precision", "bf16"],
    ]);
    expect(checkpointFacts({})).toEqual([]);
  });
});
