import { describe, expect, it } from "vitest";
import type { Artifact } from "../../src/api";
import { axisOf, comparable, front, sheetsOf, type Row } from "../../src/generators/pareto";

const row = (step: number, reward: number, fd: number, diversity = 1): Row => ({ step, reward, fd, diversity, class_accuracy: 1 });
const steps = (rows: Row[]): number[] => rows.map((r) => r.step);

describe("the Pareto front", () => {
  it("leaves out what another beats in reward and cost", () => {
    const rows = [row(0, 0.1, 0.4), row(8, 0.3, 0.9), row(16, 0.3, 0.7), row(24, 0.5, 1.2), row(32, 0.4, 1.3)];
    expect(steps(front(rows, "fd"))).toEqual([0, 16, 24]);
  });
  it("wants more diversity, not less", () => {
    expect(steps(front([row(0, 0.1, 1, 1.5), row(8, 0.5, 1, 1.4), row(16, 0.4, 1, 1.2)], "diversity"))).toEqual([0, 8]);
  });
  it("holds one of equals", () => {
    expect(front([row(0, 0.1, 1), row(8, 0.1, 1)], "fd")).toHaveLength(1);
  });
});

describe("runs in one plot", () => {
  const config = { rewards: ["palette"], material: "Stone", worlds: 128, lr: 1e-3 };
  it("may differ in how they learn", () => expect(comparable(config, { ...config, lr: 1e-4, target: null })).toBe(true));
  it("may not differ in what is measured", () => expect(comparable(config, { ...config, worlds: 64 })).toBe(false));
});

describe("an axis", () => {
  it("has round ticks and holds all values", () => {
    const { at, ticks } = axisOf([0.42, 1.26]);
    expect(ticks).toEqual([0.4, 0.6, 0.8, 1, 1.2]);
    expect(at(0.42)).toBeGreaterThan(0);
    expect(at(1.26)).toBeLessThan(1);
  });
  it("is logarithmic over decades", () => expect(axisOf([0.4, 15]).ticks).toEqual([0.5, 1, 2, 5, 10]));
  it("stands a single value", () => expect(axisOf([0.5]).at(0.5)).toBeCloseTo(0.5));
});

it("finds the newest sheet of each step", () => {
  const file = (id: string, name: string, caption: string, at: string): Artifact =>
    ({ id, name, caption, created_at: at, role: "preview", media_type: "image/png", size: 1, sha256: "" });
  const found = sheetsOf([file("c", "after.png", "step 8", "3"), file("b", "after.png", "step 8", "2"), file("a", "before.png", "the base", "1"), file("d", "loss.png", "step 9", "1")]);
  expect(Object.fromEntries(found)).toEqual({ 0: "a", 8: "c" });
});
