// The legend of keys. Caps light up as their keys are pressed, and can be held down with a finger or the mouse.

import { legend, type Cap } from "./legend";
import type { Session } from "./session";

function KeyCap({ session, cap, shown }: { session: Session; cap: Cap; shown?: boolean }) {
  const held = session.held.value;
  const lit = [cap.code, ...cap.also].some((code) => held.has(code));
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
  const hello = session.hello.value;
  const { cross, wide, look } = hello ? legend(hello) : { cross: [], wide: [], look: [] };
  const caps = (list: Cap[], shown = false) =>
    list.map((cap) => <KeyCap key={cap.code} session={session} cap={cap} shown={shown} />);
  return (
    <div class="keys" role="group" aria-label="Keys of the game">
      <div class="cross">{caps(cross)}</div>
      <div class="wide">{caps(wide, true)}</div>
      <div class="cross">{caps(look)}</div>
    </div>
  );
}
