// The bytes of live play: the mirror of store/play_protocol.py, which is the authority.

export const VERSION = 2;
export const SUBPROTOCOL = "terrarium.play";
export const INPUT_BYTES = 32;
export const FRAME_BYTES = 48;

export const SIMULATOR = 1;
export const RESET = 2;
export const PAUSED = 4;

export interface Input {
  keys: number; // `keyBits` of those held
  yaw_deg: number; // turned since the last input; > 0 turns right
  pitch_deg: number; // > 0 looks up
  seq: number;
  ack: number; // seq of the newest frame drawn
  client_ms: number;
}

export interface Frame {
  flags: number;
  players: number;
  seq: number;
  action_seq: number;
  model_ms: number;
  encode_ms: number;
  queue_ms: number;
  fps: number;
  client_ms: number;
  dropped: number;
  model_jpeg: Uint8Array<ArrayBuffer>;
  sim_jpeg: Uint8Array<ArrayBuffer>; // empty without the simulator
}

export interface Settings {
  temperature?: number;
  guidance?: number;
  simulator?: boolean;
  record?: boolean;
  fps?: number;
  paused?: boolean;
  checkpoint?: string;
}

/** What a checkpoint's actions are, and which keys press them. */
export interface Layout {
  action_names: string[];
  keys: Record<string, string>; // KeyboardEvent.code -> name of its action; the first of two is the one to show
  has_camera: boolean; // then the first two actions are yaw and pitch
}

export interface Hello extends Layout {
  type: "hello";
  session: string;
  checkpoint: string;
  width: number;
  height: number;
  fps: number;
  has_simulator: boolean;
  max_yaw_deg: number;
  max_pitch_deg: number;
  seed: number;
  temperature: number;
}

export type ServerText =
  | Hello
  | { type: "reset"; seed: number }
  | ({ type: "settings" } & Settings)
  | { type: "queue"; position: number }
  | { type: "error"; code: string; message: string };

export type ClientText = { type: "reset"; seed?: number } | ({ type: "settings" } & Settings);

/** Each key's bit in an input's `keys`. */
export function keyBits({ action_names, keys, has_camera }: Layout): Record<string, number> {
  const columns = has_camera ? action_names.slice(2) : action_names;
  return Object.fromEntries(Object.entries(keys).map(([code, name]) => [code, 1 << columns.indexOf(name)]));
}

export function packInput(input: Input): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(INPUT_BYTES));
  view.setUint8(0, VERSION);
  view.setUint8(1, 1);
  view.setUint32(4, input.keys, true);
  view.setFloat32(8, input.yaw_deg, true);
  view.setFloat32(12, input.pitch_deg, true);
  view.setUint32(16, input.seq, true);
  view.setUint32(20, input.ack, true);
  view.setFloat64(24, input.client_ms, true);
  return view.buffer as ArrayBuffer;
}

/** Throws for a wrong length or version. The pictures are views of `data`, not copies. */
export function unpackFrame(data: ArrayBuffer): Frame {
  const view = new DataView(data);
  if (data.byteLength < FRAME_BYTES) {
    throw new Error(`frame of ${data.byteLength} bytes, expected at least ${FRAME_BYTES}`);
  }
  const model = view.getUint32(40, true);
  const sim = view.getUint32(44, true);
  if (view.getUint8(0) !== VERSION || data.byteLength !== FRAME_BYTES + model + sim) {
    throw new Error(
      `frame version ${view.getUint8(0)}, ${data.byteLength} bytes; ` +
        `expected version ${VERSION}, ${FRAME_BYTES + model + sim} bytes`,
    );
  }
  return {
    flags: view.getUint8(1),
    players: view.getUint16(2, true),
    seq: view.getUint32(4, true),
    action_seq: view.getUint32(8, true),
    model_ms: view.getFloat32(12, true),
    encode_ms: view.getFloat32(16, true),
    queue_ms: view.getFloat32(20, true),
    fps: view.getFloat32(24, true),
    client_ms: view.getFloat64(28, true),
    dropped: view.getUint32(36, true),
    model_jpeg: new Uint8Array(data, FRAME_BYTES, model),
    sim_jpeg: new Uint8Array(data, FRAME_BYTES + model, sim),
  };
}
