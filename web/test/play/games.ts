// Two games as a player's hello tells of them.

import type { Hello } from "../../src/play/protocol";

export const BLOCKS: Hello = {
  type: "hello",
  session: "s",
  checkpoint: "shipped",
  width: 64,
  height: 64,
  fps: 20,
  has_simulator: true,
  action_names: ["yaw", "pitch", "w", "a", "s", "d", "jump", "sprint", "sneak"],
  keys: {
    KeyW: "w",
    KeyA: "a",
    KeyS: "s",
    KeyD: "d",
    Space: "jump",
    ShiftLeft: "sprint",
    KeyC: "sneak",
    ControlLeft: "sneak",
  },
  has_camera: true,
  max_yaw_deg: 8,
  max_pitch_deg: 6,
  seed: 1,
  temperature: 0.3,
};

export const DISCRETE: Hello = {
  ...BLOCKS,
  has_simulator: false,
  action_names: ["move_left", "move_right", "do", "place_stone", "make_pickaxe"],
  keys: {
    KeyA: "move_left",
    ArrowLeft: "move_left",
    KeyD: "move_right",
    ArrowRight: "move_right",
    Space: "do",
    Digit1: "place_stone",
  },
  has_camera: false,
};
