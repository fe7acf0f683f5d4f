import { describe, expect, it } from "vitest";
import { align, groups } from "../../src/jobs/align";

describe("metric series as charts", () => {
  it("aligns lines over the union of their steps", () => {
    expect(align([[[1, 10], [2, 20]], [[2, 0.5]]])).toEqual([[1, 2], [10, 20], [null, 0.5]]);
  });

  it("puts a key and its held-out twin on one chart, losses first", () => {
    const line: [number, number][] = [[0, 1]];
    expect(groups({ accuracy: line, val_loss: line, loss: line, val_psnr: line })).toEqual([
      ["loss", ["loss", "val_loss"]],
      ["accuracy", ["accuracy"]],
      ["psnr", ["val_psnr"]],
    ]);
  });
});
