import { describe, expect, it } from "vitest";
import { align, csv, groups, linesOf, smooth, valueAt, type Run } from "../../src/jobs/curves";

const run = (id: string, series: Run["series"], times: [number, number][] = []): Run => ({
  id,
  name: `run "${id}"`,
  series,
  times: new Map(times),
});

describe("metric series as charts", () => {
  it("aligns lines over the union of their steps", () => {
    expect(align([[[1, 10], [2, 20]], [[2, 0.5]]])).toEqual([[1, 2], [10, 20], [null, 0.5]]);
  });

  it("puts a key and its held-out twin on one chart, losses first", () => {
    expect(groups(["accuracy", "val_loss", "loss", "val_psnr", "loss"])).toEqual([
      ["loss", ["loss", "val_loss"]],
      ["accuracy", ["accuracy"]],
      ["psnr", ["val_psnr"]],
    ]);
  });

  it("draws each run that has a key, along steps or seconds", () => {
    const runs = [run("a", { loss: [[1, 4], [2, 2]] }, [[2, 30]]), run("b", { psnr: [[1, 20]] })];
    expect(linesOf(runs, ["loss", "val_loss"], "step", 0)).toEqual([{ key: "loss", run: 0, points: [[1, 4], [2, 2]] }]);
    expect(linesOf(runs, ["loss"], "time", 0)).toEqual([{ key: "loss", run: 0, points: [[30, 2]] }]);
  });

  it("smooths without a pull to zero at the start", () => {
    expect(smooth([[1, 4], [2, 2]], 0)).toEqual([[1, 4], [2, 2]]);
    const [first, second] = smooth([[1, 4], [2, 1]], 0.5);
    expect([first![1], second![1]]).toEqual([4, 2]);
  });

  it("reads the value at or before the pointer", () => {
    expect([valueAt([1, null, 3], 1), valueAt([null], 0), valueAt([1, 2], 9)]).toEqual([1, null, 2]);
  });

  it("exports what was reported", () => {
    expect(csv([run("a", { loss: [[1, 0.5]] }, [[1, 2.5]]), run("b", { loss: [[1, 2]] })])).toBe(
      'job,name,metric,step,seconds,value\na,"run ""a""","loss",1,2.5,0.5\nb,"run ""b""","loss",1,,2\n',
    );
  });
});
