import { describe, expect, it } from "vitest";
import { angles, border, difference, heat, masked, shrunk } from "../../src/materials/pixels";

const grey = (values: number[]): Uint8ClampedArray => Uint8ClampedArray.from(values.flatMap((v) => [v, v, v, 255]));

describe("masked", () => {
  it("keeps the channels that are on, and shows one alone as grey", () => {
    const pixel = Uint8ClampedArray.from([10, 20, 30, 0]);
    expect([...masked(pixel, new Set(["r", "g", "b"] as const))]).toEqual([10, 20, 30, 255]);
    expect([...masked(pixel, new Set(["r", "b"] as const))]).toEqual([10, 0, 30, 255]);
    expect([...masked(pixel, new Set(["g"] as const))]).toEqual([20, 20, 20, 255]);
  });
});

describe("heat maps", () => {
  it("grow lighter with the error, and end at the largest that is told apart", () => {
    const light = [0, 0.25, 0.5, 0.75, 1].map((v) => heat(v).reduce((a, b) => a + b));
    expect(light).toEqual(light.toSorted((a, b) => a - b));
    expect(heat(3)).toEqual(heat(1));
  });

  it("measure levels", () => {
    const { rgba, far } = difference(grey([100, 100]), grey([100, 164]), 64);
    expect(far).toBeCloseTo(Math.sqrt(64 * 64 / 2));
    expect([...rgba]).toEqual([...heat(0), 255, ...heat(1), 255]);
  });

  it("measure angles of normals, however long they are", () => {
    const [up, longer, aside] = [[127, 127, 255, 255], [127, 127, 200, 255], [255, 127, 127, 255]].map((p) => Uint8ClampedArray.from(p));
    expect(angles(up!, longer!, 30).far).toBeLessThan(1);
    expect(angles(up!, aside!, 30).far).toBeCloseTo(90, -1);
    expect([...angles(up!, aside!, 30).rgba]).toEqual([...heat(1), 255]);
  });
});

describe("border", () => {
  it("is like the inside where a picture repeats, and a step where it does not", () => {
    const stripes = Array.from({ length: 64 }, (_, i) => 100 + 10 * (i % 2));
    const ramp = Array.from({ length: 64 }, (_, i) => 20 * (i % 8));
    const [even, uneven] = [border(grey(stripes), 8), border(grey(ramp), 8)];
    expect(even).toEqual({ across: 5, inside: 5 });
    expect(uneven).toEqual({ across: 70, inside: 10 });
  });
});

describe("shrunk", () => {
  it("is the mean of what a texel covers, in either direction", () => {
    const four = grey([0, 100, 50, 250]);
    expect([...shrunk(four, 2, 1)]).toEqual([100, 100, 100]);
    expect([...shrunk(four, 2, 2)]).toEqual([0, 0, 0, 100, 100, 100, 50, 50, 50, 250, 250, 250]);
    expect([...shrunk(four, 2, 4)].filter((_, i) => i % 3 === 0).slice(0, 8)).toEqual([0, 0, 100, 100, 0, 0, 100, 100]);
  });
});
