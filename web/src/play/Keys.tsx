// The legend of keys. Caps light up as their keys are pressed, and can be held down with a finger or the mouse.

import type { Session } from "./session";

interface Cap {
  code: string;
  text: string;
  does: string;
  also?: string; // another code that lights it
}

const WALK: Cap[] = [
  { code: "KeyW", text: "W", does: "walk forward" },
  { code: "KeyA", text: "A", does: "walk left" },
  { code: "KeyS", text: "S", does: "walk back" },
  { code: "KeyD", text: "D", does: "walk right" },
];
const WIDE: Cap[] = [
  { code: "Space", text: "Space", does: "jump" },
  { code: "ShiftLeft", text: "Shift", does: "sprint" },
  { code: "KeyC", text: "C", does: "sneak", also: "ControlLeft" },
];
const LOOK: Cap[] = [
  { code: "ArrowUp", text: "↑", does: "look up" },
  { code: "ArrowLeft", text: "←", does: "turn left" },
  { code: "ArrowDown", text: "↓", does: "look down" },
  { code: "ArrowRight", text: "→", does: "turn right" },
];

function KeyCap({ session, cap, shown }: { session: Session; cap: Cap; shown?: boolean }) {
  const held = session.held.value;
  const lit = held.has(cap.code) || (cap.also !== undefined && held.has(cap.also));
  const up = (): void => session.release(cap.code);
  return (
    <button
      type="button"
      tabIndex={-1}
      class={`cap cap-${cap.code}`}
      data-lit={lit}
      onPointerDown={(e) => {
        e.preventDefault();
        e.currentTarget.setPointerCapture(e.pointerId);
        session.press(cap.code);
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

export function Keys({ session }: { session: Session }) {
  const caps = (list: Cap[], shown = false) =>
    list.map((cap) => <KeyCap key={cap.code} session={session} cap={cap} shown={shown} />);
  return (
    <div class="keys" role="group" aria-label="Keys of the game">
      <div class="cross">{caps(WALK)}</div>
      <div class="wide">{caps(WIDE, true)}</div>
      <div class="cross">{caps(LOOK)}</div>
    </div>
  );
}
