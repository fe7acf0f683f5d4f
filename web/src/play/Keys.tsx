// The legend of the game's keys.

import { KeyCap } from "../KeyCap";
import { legend, type Cap } from "./legend";
import type { Session } from "./session";

export function Keys({ session }: { session: Session }) {
  const hello = session.hello.value;
  const { cross, wide, look } = hello ? legend(hello) : { cross: [], wide: [], look: [] };
  const held = session.held.value;
  const press = (code: string): void => session.press(code);
  const release = (code: string): void => session.release(code);
  const caps = (list: Cap[], shown = false) =>
    list.map((cap) => {
      const lit = [cap.code, ...cap.also].some((code) => held.has(code));
      return <KeyCap key={cap.code} cap={cap} lit={lit} shown={shown} press={press} release={release} />;
    });
  return (
    <div class="keys" role="group" aria-label="Keys of the game">
      <div class="cross">{caps(cross)}</div>
      <div class="wide">{caps(wide, true)}</div>
      <div class="cross">{caps(look)}</div>
    </div>
  );
}
