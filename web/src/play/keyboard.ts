// Listens for keys, blur and the pointer while the Play page is open; decides which keys are the game's.

import type { Session } from "./session";

const isTextField = (el: Element): boolean =>
  el.matches("textarea, select, [contenteditable], input:not([type=range], [type=radio], [type=checkbox])");

/** Keys that the focused element needs for itself: all in a text field; space, Enter and arrows on a control. */
export function belongsToElement(target: EventTarget | null, code: string): boolean {
  if (!(target instanceof Element)) return false;
  if (isTextField(target)) return true;
  return target.matches("a, button, input, summary") && /^(Space|Enter|Arrow)/.test(code);
}

/** `commands` are single keys by code, such as KeyR. Returns the undoing. */
export function listen(session: Session, canvas: HTMLElement, commands: Record<string, () => void>): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const { input } = session;

  addEventListener(
    "keydown",
    (e) => {
      if (e.metaKey || e.altKey || belongsToElement(e.target, e.code)) return;
      // Ctrl with a letter belongs to the browser, except where Ctrl itself is a key of the game.
      const ours = input.isGameKey(e.code) && (!e.ctrlKey || input.isGameKey("ControlLeft"));
      if (ours) {
        e.preventDefault();
        if (!e.repeat) session.press(e.code);
      } else if (!e.ctrlKey && !e.repeat && commands[e.code]) {
        e.preventDefault();
        commands[e.code]!();
      }
    },
    { signal },
  );
  addEventListener("keyup", (e) => session.release(e.code), { signal });
  addEventListener("blur", () => session.releaseAll(), { signal });
  document.addEventListener("visibilitychange", () => document.hidden && session.releaseAll(), { signal });

  const locked = (): boolean => document.pointerLockElement === canvas;
  document.addEventListener("pointerlockchange", () => locked() || session.releaseAll(), { signal });
  document.addEventListener("mousemove", (e) => locked() && session.look(e.movementX, e.movementY), { signal });
  canvas.addEventListener(
    "pointerdown",
    (e) => {
      canvas.focus({ preventScroll: true });
      if (!input.has_camera) return;
      if (e.pointerType === "mouse") void Promise.resolve(canvas.requestPointerLock?.()).catch(() => undefined);
      else canvas.setPointerCapture(e.pointerId);
    },
    { signal },
  );
  // A finger on the picture looks around; the picture follows the finger.
  canvas.addEventListener(
    "pointermove",
    (e) => {
      if (e.pointerType === "touch") session.look(-2 * e.movementX, -2 * e.movementY);
    },
    { signal },
  );

  return () => {
    stop.abort();
    if (locked()) document.exitPointerLock();
  };
}
