import { describe, expect, it } from "vitest";
import { InputState, readGamepad } from "../../src/play/input";
import { BLOCKS, DISCRETE } from "./games";

describe("input", () => {
  const fresh = (): InputState => {
    const input = new InputState();
    input.configure(BLOCKS, 20);
    return input;
  };

  it("sets the bit of every held key", () => {
    const input = fresh();
    const bits = { KeyW: 1, KeyA: 2, KeyS: 4, KeyD: 8, Space: 16, ShiftLeft: 32, ControlLeft: 64 };
    for (const [code, bit] of Object.entries(bits)) {
      input.press(code, 0);
      expect(input.mask).toBe(bit);
      input.release(code);
    }
    input.press("KeyW", 0);
    input.press("Space", 0);
    expect(input.mask).toBe(0b10001);
  });

  it("sneaks while either of its keys is down", () => {
    const input = fresh();
    input.press("ControlLeft", 0);
    input.press("KeyC", 0);
    input.release("ControlLeft");
    expect(input.mask).toBe(64);
  });

  it("reports a change once: a repeated press is none, and other keys are not the game's", () => {
    const input = fresh();
    expect(input.press("KeyW", 0)).toBe(true);
    expect(input.press("KeyW", 5)).toBe(false);
    expect(input.press("KeyQ", 5)).toBe(false);
    expect(input.isGameKey("ArrowUp") && !input.isGameKey("Tab")).toBe(true);
  });

  it("lets go of everything on blur", () => {
    const input = fresh();
    input.press("KeyW", 0);
    input.press("ArrowLeft", 0);
    input.look(50, 50);
    expect(input.releaseAll()).toBe(true);
    expect(input.mask).toBe(0);
    expect(input.turning).toBe(false);
    expect(input.takeTurn(100)).toEqual([0, 0]);
    expect(input.releaseAll()).toBe(false);
  });

  it("turns by .6 of a frame's reach a tick while an arrow is held", () => {
    const input = fresh(); // 50 ms a tick
    input.takeTurn(990);
    input.press("ArrowRight", 1000);
    expect(input.takeTurn(1000)[0]).toBeCloseTo(0.6 * 8); // at once
    expect(input.takeTurn(1050)[0]).toBeCloseTo(0.6 * 8);
    expect(input.takeTurn(1075)[0]).toBeCloseTo(0.3 * 8);
    expect(input.takeTurn(60_000)[0]).toBeCloseTo(5 * 0.6 * 8); // no catching up after a stall
    input.release("ArrowRight");
    expect(input.takeTurn(60_050)).toEqual([0, 0]);
  });

  it("knows right and up as positive, and that opposite arrows cancel", () => {
    const input = fresh();
    input.press("ArrowUp", 0);
    input.press("ArrowLeft", 0);
    const [yaw, pitch] = input.takeTurn(0);
    expect(yaw).toBeCloseTo(-0.6 * 8);
    expect(pitch).toBeCloseTo(0.6 * 6);
    input.press("ArrowRight", 0);
    expect(input.takeTurn(50)[0]).toBeCloseTo(0);
  });

  it("adds up the mouse until it is sent; down the screen looks down", () => {
    const input = fresh();
    input.look(10, 0);
    input.look(15, 20);
    const [yaw, pitch] = input.takeTurn(0);
    expect(yaw).toBeCloseTo(3);
    expect(pitch).toBeCloseTo(-2.4);
    expect(input.takeTurn(1)).toEqual([0, 0]);
  });

  it("takes another game's keys, where arrows are keys like others and nothing turns", () => {
    const input = fresh();
    input.press("KeyW", 0);
    input.configure(DISCRETE, 10);
    expect(input.mask).toBe(0); // no such key in this game
    expect(input.press("ArrowUp", 0)).toBe(false);
    input.press("ArrowLeft", 0);
    input.look(100, 100);
    expect(input.mask).toBe(1);
    expect(input.takeTurn(50)).toEqual([0, 0]);
  });

  it("has room for 32 keys", () => {
    const names = Array.from({ length: 32 }, (_, i) => `action ${i}`);
    const input = new InputState();
    input.configure({ ...DISCRETE, action_names: names, keys: { KeyZ: "action 31" } }, 10);
    input.press("KeyZ", 0);
    expect(input.mask).toBe(2 ** 31);
  });

  it("reads a gamepad without letting go of the keyboard's keys", () => {
    const input = fresh();
    const pad = (axes: number[], pressed = false): Gamepad =>
      ({ axes, buttons: [{ pressed }] }) as unknown as Gamepad;
    input.press("KeyW", 0);
    expect(readGamepad(input, pad([0, -1, 0.5, 0.1], true))).toBe(true);
    expect(input.mask).toBe(0b10001);
    expect(input.takeTurn(50)[0]).toBeCloseTo(0.5 * 8);
    expect(readGamepad(input, pad([0, 0, 0, 0]))).toBe(true);
    expect(input.mask).toBe(1);
  });
});
