// The keys and what the pointer does, for the view and the tool in hand. A walker's keys can be held with a finger.

import { KeyCap, type Cap } from "../KeyCap";
import { spoken } from "./palette";
import type { Tool, View, Workshop } from "./workshop";

export const TOUCH = matchMedia("(pointer: coarse)").matches;

const CROSS: Cap[] = [
  { code: "KeyW", text: "W", does: "forward" },
  { code: "KeyA", text: "A", does: "left" },
  { code: "KeyS", text: "S", does: "back" },
  { code: "KeyD", text: "D", does: "right" },
];
const WIDE: Record<Exclude<View, "orbit">, Cap[]> = {
  walk: [
    { code: "Space", text: "Space", does: "jump" },
    { code: "ShiftLeft", text: "Shift", does: "sprint" },
    { code: "KeyC", text: "C", does: "sneak" },
  ],
  fly: [
    { code: "Space", text: "Space", does: "up" },
    { code: "KeyC", text: "C", does: "down" },
    { code: "ShiftLeft", text: "Shift", does: "faster" },
  ],
};
const LOOK: Cap[] = [
  { code: "ArrowUp", text: "↑", does: "look up" },
  { code: "ArrowLeft", text: "←", does: "turn left" },
  { code: "ArrowDown", text: "↓", does: "look down" },
  { code: "ArrowRight", text: "→", does: "turn right" },
];

export function Legend({ shop, locked }: { shop: Workshop; locked: boolean }) {
  const view = shop.view.value;
  const press = (code: string): void => shop.press(code);
  const release = (code: string): void => shop.release(code);
  const caps = (list: Cap[], shown = false) =>
    list.map((cap) => (
      <KeyCap key={cap.code} cap={cap} lit={shop.held.value.has(cap.code)} shown={shown} press={press} release={release} />
    ));
  return (
    <div class="legend">
      {view !== "orbit" && (
        <div class="keys" role="group" aria-label="Keys to move by">
          <div class="cross">{caps(CROSS)}</div>
          <div class="wide">{caps(WIDE[view], true)}</div>
          <div class="cross">{caps(LOOK)}</div>
        </div>
      )}
      <p class="hints">
        {hints(shop, view, shop.tool.value, locked).map(([keys, does]) => (
          <span key={does}>
            <kbd>{keys}</kbd> {does}
          </span>
        ))}
      </p>
      <p class="error" role="status">
        {shop.notice.value}
      </p>
    </div>
  );
}

type Hint = [keys: string, does: string];

function hints(shop: Workshop, view: View, tool: Tool, locked: boolean): Hint[] {
  const block = spoken(shop.type.value).toLowerCase();
  const does: Record<Exclude<Tool, "look">, string> = {
    place: `places ${block}`,
    remove: "removes",
    pick: "picks its block",
    box: `a corner, then the other: fills with ${block}`,
  };
  if (TOUCH) {
    const drag: Hint = ["Drag", view === "orbit" ? "turns; two fingers zoom" : "looks around"];
    return tool === "look" ? [drag] : [["Tap", does[tool]], drag];
  }
  if (view !== "orbit") {
    const move: Hint[] = locked ? [["Esc", "lets the mouse go"]] : [["Click", "takes the mouse"], ["O", "back to orbit"]];
    if (tool === "look" || !locked) return move;
    return [["Click", does[tool]], ["Right click", tool === "box" ? "clears the box" : "removes"], ["Middle click", "picks"], ...move];
  }
  const around: Hint[] = [["Drag", "turns"], ["Wheel", "zooms"], ["Right drag", "moves"], ["H", "whole world"]];
  if (tool === "look") return [...around, ["2", "to build"]];
  return [
    ["Click", does[tool]],
    ["Shift click", tool === "box" ? "clears the box" : "removes"],
    ["Alt click", "picks"],
    ["Arrows, Page keys, Enter", "build by keyboard"],
    ["Drag", "turns"],
  ];
}
