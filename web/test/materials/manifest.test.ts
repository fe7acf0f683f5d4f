import { describe, expect, it } from "vitest";
import { comparison, mapsOf, materialFacts, materialSummary, viewsSummary } from "../../src/materials/manifest";

const files = Object.fromEntries(["basecolor", "roughness", "metallic", "normal", "ao"].map((name) => [`${name}.png`, "sha"]));
const made = { size: 256, family: "roof_tiles", seed: 7, files };
const found = { size: 256, posed: true, confidence: 0.873, files, figures: { maps: { albedo: { psnr: 24.123456, rmse: 0.06, mae: 0.04, ssim: 0.8 } }, normal_deg: { mean: 8.91 } } };

describe("a material", () => {
  it("says what it is", () => {
    expect(materialSummary(made)).toBe("256 × 256 · procedural");
    expect(materialSummary(found)).toBe("256 × 256 · found from three views");
    expect(materialSummary({ size: 64 })).toBe("64 × 64 · brought");
    expect(materialFacts(made)).toContainEqual(["Family", "roof tiles"]);
    expect(materialFacts(found)).toContainEqual(["Views agree", "87 %"]);
  });

  it("has the maps of its files, and a confidence where a model found them", () => {
    expect(mapsOf(made)).toEqual(["basecolor", "roughness", "metallic", "normal", "ao"]);
    expect(mapsOf(found).at(-1)).toBe("confidence");
  });

  it("is compared where the truth is known", () => {
    expect(comparison(found)).toEqual({ rows: [["albedo", "24.12", "0.06", "0.04", "0.8"]], angles: "mean 8.91" });
    expect(comparison(made)).toEqual({ rows: [], angles: null });
  });
});

it("views say whether it is known from where they are", () => {
  expect(viewsSummary({ size: 512, poses: true })).toBe("three views · 512 × 512 · poses known");
  expect(viewsSummary({ size: 512, poses: false })).toBe("three views · 512 × 512");
});
