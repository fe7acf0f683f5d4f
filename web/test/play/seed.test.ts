import { expect, it } from "vitest";
import { anySeed, parseSeed } from "../../src/play/seed";

it("reads a seed, and nothing that is none", () => {
  expect([" 7 ", "0", "2147483647"].map(parseSeed)).toEqual([7, 0, 2147483647]);
  expect(["", "-1", "1.5", "2147483648", "w"].map(parseSeed)).toEqual([null, null, null, null, null]);
});

it("offers seeds that it reads itself", () => {
  expect(parseSeed(String(anySeed()))).not.toBeNull();
});
