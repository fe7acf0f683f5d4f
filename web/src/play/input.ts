// Held keys, arrow keys, mouse and stick become a key mask and degrees turned. No DOM here.

import { keyBits, type Hello } from "./protocol";

const ARROWS: Record<string, [yaw: number, pitch: number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};
const ARROW_RATE = 0.6; // of the most that one frame turns
const MOUSE_DEG_PER_PX = 0.12;
const LONGEST_GAP_MS = 250; // after a stall, arrows do not catch up beyond this

const clamp = (x: number): number => Math.max(-1, Math.min(1, x));

export class InputState {
  has_camera = false;
  readonly held = new Set<string>();
  pad = new Set<string>(); // held on a gamepad, by the code of the key that each stands for
  stick: [yaw: number, pitch: number] = [0, 0]; // gamepad, each in [-1, 1]
  private bits: Record<string, number> = {}; // of the keys that the game knows, once it has said hello
  private mouse: [number, number] = [0, 0]; // degrees not yet sent
  private turned_ms = 0; // until when arrows and stick were counted
  private max_deg: [number, number] = [8, 6];
  private tick_ms = 1000 / 30;

  configure(game: Omit<Hello, "type">, fps: number): void {
    this.bits = keyBits(game);
    this.has_camera = game.has_camera;
    this.max_deg = [game.max_yaw_deg, game.max_pitch_deg];
    this.tick_ms = 1000 / fps;
  }

  isGameKey(code: string): boolean {
    return code in this.bits || (this.has_camera && code in ARROWS);
  }

  /** True where the key was not held before. */
  press(code: string, now_ms: number): boolean {
    if (!this.isGameKey(code) || this.held.has(code)) return false;
    // The first arrow turns at once, by one tick's worth; later sends go by the clock.
    if (code in ARROWS && !this.turning) this.turned_ms = now_ms - this.tick_ms;
    this.held.add(code);
    return true;
  }

  release(code: string): boolean {
    return this.held.delete(code);
  }

  /** Let go of everything: blur, hidden page, lost pointer. True where something was held. */
  releaseAll(): boolean {
    const any = this.mask !== 0 || this.turning;
    this.held.clear();
    this.pad.clear();
    this.stick = [0, 0];
    this.mouse = [0, 0];
    return any;
  }

  look(dx_px: number, dy_px: number): void {
    if (!this.has_camera) return;
    this.mouse[0] += dx_px * MOUSE_DEG_PER_PX;
    this.mouse[1] -= dy_px * MOUSE_DEG_PER_PX; // up on the screen is negative y
  }

  get mask(): number {
    let mask = 0;
    for (const code of [...this.held, ...this.pad]) mask |= this.bits[code] ?? 0;
    return mask >>> 0; // bit 31 is the sign
  }

  get turning(): boolean {
    const [yaw, pitch] = this.axes();
    return yaw !== 0 || pitch !== 0;
  }

  /** Degrees to send now: the mouse's, and what arrows and stick turned since they were last counted. */
  takeTurn(now_ms: number): [yaw_deg: number, pitch_deg: number] {
    const ticks = Math.max(0, Math.min(now_ms - this.turned_ms, LONGEST_GAP_MS)) / this.tick_ms;
    this.turned_ms = now_ms;
    const [yaw, pitch] = this.axes();
    const [mouse_yaw, mouse_pitch] = this.mouse;
    this.mouse = [0, 0];
    return [mouse_yaw + yaw * this.max_deg[0] * ticks, mouse_pitch + pitch * this.max_deg[1] * ticks];
  }

  private axes(): [yaw: number, pitch: number] {
    if (!this.has_camera) return [0, 0];
    let [yaw, pitch] = this.stick;
    for (const code of this.held) {
      const arrow = ARROWS[code];
      if (arrow) {
        yaw += ARROW_RATE * arrow[0];
        pitch += ARROW_RATE * arrow[1];
      }
    }
    return [clamp(yaw), clamp(pitch)];
  }
}

const STICK_DEAD_ZONE = 0.15;
const PAD_BUTTONS: [index: number, code: string][] = [[0, "Space"], [1, "KeyC"], [10, "ShiftLeft"]];

/** One look at a gamepad: left stick walks, right stick turns, A jumps. True where the keys changed. */
export function readGamepad(input: InputState, gamepad: Gamepad): boolean {
  const axis = (i: number): number => {
    const x = gamepad.axes[i] ?? 0;
    return Math.abs(x) < STICK_DEAD_ZONE ? 0 : x;
  };
  const before = input.mask;
  const walk: [string, boolean][] = [
    ["KeyW", axis(1) < -0.4],
    ["KeyS", axis(1) > 0.4],
    ["KeyA", axis(0) < -0.4],
    ["KeyD", axis(0) > 0.4],
  ];
  const buttons = PAD_BUTTONS.map(([i, code]): [string, boolean] => [code, !!gamepad.buttons[i]?.pressed]);
  input.pad = new Set([...walk, ...buttons].filter(([, down]) => down).map(([code]) => code));
  input.stick = [axis(2), -axis(3)];
  return input.mask !== before;
}
