import { describe, expect, it } from "vitest";
import { checkpointSummary, datasetFacts } from "../../src/library/manifest";

describe("manifests", () => {
  it("gives a dataset's size", () => {
    const episodes = [
      { length: 257, split: "train" },
      { length: 257, split: "train" },
      { length: 25, split: "val" },
    ];
    const manifest = { fps: 20, frame_size: [72, 128], source: { kind: "blocks", terrain: "mixed" }, episodes };
    expect(datasetFacts(manifest)).toEqual([
      ["Terrain", "mixed"],
      ["Episodes", "3, 1 held out"],
      ["Frames", "539"],
      ["Frame size", "128 × 72"],
      ["Frames a second", "20"],
    ]);
    expect(datasetFacts({ source: { kind: "gym", env: "crafter:Env" } })).toEqual([["Game", "crafter:Env"]]);
    expect(datasetFacts({ source: { kind: "minerl" } })).toEqual([["Source", "minerl"]]);
    expect(datasetFacts({})).toEqual([]);
  });

  it("sums a checkpoint up", () => {
    const data = { frame_size: [64, 64], source: { terrain: "mixed" } };
    expect(checkpointSummary({ data, parameters: 1_420_000 })).toBe("mixed, 64 × 64, 1.4 M weights");
    expect(checkpointSummary({})).toBe("");
  });
});
