import { expect, it } from "vitest";
import { legend } from "../../src/play/legend";
import { BLOCKS, DISCRETE } from "./games";

it("shows the block world's keys: walk, the others, look", () => {
  const { cross, wide, look } = legend(BLOCKS);
  expect(cross.map((c) => c.text + " " + c.does)).toEqual(["W walk forward", "A walk left", "S walk back", "D walk right"]);
  expect(wide.map((c) => c.text + " " + c.does)).toEqual(["Space jump", "Shift sprint", "C sneak"]);
  expect(wide[2]!.also).toEqual(["ControlLeft"]);
  expect(look.map((c) => c.text).join("")).toBe("↑←↓→");
});

it("shows another game's actions by name, each once, and none that has no key", () => {
  const { cross, wide, look } = legend(DISCRETE);
  expect(cross).toEqual([
    { code: "KeyA", text: "A", does: "move left", also: ["ArrowLeft"] },
    { code: "KeyD", text: "D", does: "move right", also: ["ArrowRight"] },
  ]);
  expect(wide.map((c) => c.text + " " + c.does)).toEqual(["Space do", "1 place stone"]);
  expect(look).toEqual([]);
});
