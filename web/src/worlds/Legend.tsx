// The keys and what the pointer does, for the view and the tool in hand. A walker's keys can be held with a finger.

import { spoken } from "./palette";
import type { Tool, View, Workshop } from "./workshop";

export const TOUCH = matchMedia("(pointer: coarse)").matches;

interface Cap {
  code: string;
  text: string;
  does: string;
}

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
  return (
    <div class="legend">
      {view !== "orbit" && (
        <div class="keys" role="group" aria-label="Keys to move by">
          <div class="cross">{CROSS.map((cap) => <KeyCap key={cap.code} shop={shop} cap={cap} />)}</div>
          <div class="wide">{WIDE[view].map((cap) => <KeyCap key={cap.code} shop={shop} cap={cap} shown />)}</div>
          <div class="cross">{LOOK.map((cap) => <KeyCap key={cap.code} shop={shop} cap={cap} />)}</div>
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

function KeyCap({ shop, cap, shown }: { shop: Workshop; cap: Cap; shown?: boolean }) {
  const up = (): void => shop.release(cap.code);
  return (
    <button
      type="button"
      tabIndex={-1}
      class={`cap cap-${cap.code}`}
      data-lit={shop.held.value.has(cap.code)}
      onPointerDown={(e) => {
        e.preventDefault();
        e.currentTarget.setPointerCapture(e.pointerId);
        shop.press(cap.code);
      }}
      onPointerUp={up}
      onPointerCancel={up}
      onLostPointerCapture={up}
      onContextMenu={(e) => e.preventDefault()}
    >
      <kbd>{cap.text}</kbd>
      <span class={shown ? "" : "unseen"}> {cap.does}</span>
    </button>
  );
}
