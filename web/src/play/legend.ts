// Which caps the legend of keys shows, and what stands on them. No DOM here.

import type { Cap as Shown } from "../KeyCap";
import type { Layout } from "./protocol";

export interface Cap extends Shown {
  also: string[]; // other keys that light it
}

const TEXTS: Record<string, string> = {
  ShiftLeft: "Shift",
  ControlLeft: "Ctrl",
  Minus: "-",
  Equal: "=",
  Comma: ",",
  Period: ".",
  Semicolon: ";",
  ArrowUp: "↑",
  ArrowLeft: "←",
  ArrowDown: "↓",
  ArrowRight: "→",
};
const DOES: Record<string, string> = { w: "walk forward", a: "walk left", s: "walk back", d: "walk right" };
const CROSS = ["KeyW", "KeyA", "KeyS", "KeyD"];
const LOOK: [code: string, does: string][] = [
  ["ArrowUp", "look up"],
  ["ArrowLeft", "turn left"],
  ["ArrowDown", "look down"],
  ["ArrowRight", "turn right"],
];

const cap = (code: string, does: string, also: string[] = []): Cap => ({
  code,
  text: TEXTS[code] ?? code.replace(/^(Key|Digit)/, ""),
  does,
  also,
});

/** A cap for each action that has a key: those on W, A, S, D apart from the others; arrows where there is a camera. */
export function legend({ action_names, keys, has_camera }: Layout): { cross: Cap[]; wide: Cap[]; look: Cap[] } {
  const caps = action_names.flatMap((name) => {
    const [code, ...also] = Object.keys(keys).filter((key) => keys[key] === name);
    return code ? [cap(code, DOES[name] ?? name.replace(/_/g, " "), also)] : [];
  });
  return {
    cross: CROSS.flatMap((code) => caps.filter((c) => c.code === code)),
    wide: caps.filter((c) => !CROSS.includes(c.code)),
    look: has_camera ? LOOK.map(([code, does]) => cap(code, does)) : [],
  };
}
