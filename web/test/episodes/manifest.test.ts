import { describe, expect, it } from "vitest";
import { datasetFacts, datasetSummary } from "../../src/episodes/manifest";

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

  it("sums it up", () => {
    const manifest = { frame_size: [64, 64], source: { terrain: "mixed" } };
    expect(datasetSummary(manifest, 1257)).toBe("mixed, 64 × 64, 1,257 frames");
    expect(datasetSummary({})).toBe("");
  });
});
