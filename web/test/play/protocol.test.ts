import { describe, expect, it } from "vitest";
import { packInput, RESET, SIMULATOR, unpackFrame } from "../../src/play/protocol";

const hex = (buffer: ArrayBuffer): string =>
  Array.from(new Uint8Array(buffer), (b) => b.toString(16).padStart(2, "0")).join("");
const bytes = (text: string): ArrayBuffer =>
  new Uint8Array(text.match(/../g)!.map((byte) => parseInt(byte, 16))).buffer;

describe("protocol, against bytes that store/play_protocol.py wrote", () => {
  it("packs Input(0b1010101, 12.5, -3.25, 4_000_000_001, 77, 1234567.875)", () => {
    const packed = packInput({
      keys: 0b1010101,
      yaw_deg: 12.5,
      pitch_deg: -3.25,
      seq: 4_000_000_001,
      ack: 77,
      client_ms: 1234567.875,
    });
    expect(hex(packed)).toBe("020100005500000000004841000050c001286bee4d000000000000e087d63241");
  });

  const FRAME =
    "02050300e9030000e6030000000018410000003e000010400000ee41000000e087d632410c0000000900000007000000" +
    "ffd86d6f64656cffd9ffd873696dffd9";

  it("unpacks Frame(5, 3, 1001, 998, 9.5, 0.125, 2.25, 29.75, 1234567.875, 12, ..model.., ..sim..)", () => {
    const { model_jpeg, sim_jpeg, ...head } = unpackFrame(bytes(FRAME));
    expect(head).toEqual({
      flags: 5,
      players: 3,
      seq: 1001,
      action_seq: 998,
      model_ms: 9.5,
      encode_ms: 0.125,
      queue_ms: 2.25,
      fps: 29.75,
      client_ms: 1234567.875,
      dropped: 12,
    });
    expect(head.flags & SIMULATOR && !(head.flags & RESET)).toBe(true);
    expect(new TextDecoder("latin1").decode(model_jpeg.slice(2, 7))).toBe("model");
    expect(new TextDecoder("latin1").decode(sim_jpeg.slice(2, 5))).toBe("sim");
  });

  it("refuses a cut frame and another version, and shows what it got", () => {
    expect(() => unpackFrame(bytes("0205"))).toThrow("frame of 2 bytes, expected at least 48");
    expect(() => unpackFrame(bytes(FRAME.slice(0, -2)))).toThrow("63 bytes; expected version 2, 64 bytes");
    expect(() => unpackFrame(bytes("01" + FRAME.slice(2)))).toThrow("frame version 1");
  });
});
