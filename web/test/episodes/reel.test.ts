import { describe, expect, it } from "vitest";
import { Reel, withAlpha } from "../../src/episodes/reel";

const FRAME = 2 ** 19; // two frames in a stretch

/** A reel of 5 frames, each filled with its number, and the spans that were asked for. */
function reel(fails = 0): { reel: Reel; asked: [number, number][] } {
  const asked: [number, number][] = [];
  const getBytes = async (_: string, start: number, end: number): Promise<Uint8Array> => {
    asked.push([start / FRAME, end / FRAME]);
    if (asked.length <= fails) throw new Error("away");
    const bytes = new Uint8Array(end - start);
    for (let at = 0; at < bytes.length; at += FRAME) bytes.fill((start + at) / FRAME, at, at + FRAME);
    return bytes;
  };
  return { reel: new Reel("/frames", 5, FRAME, getBytes), asked };
}

describe("a reel", () => {
  it("fetches the stretch of a frame, and the next ahead of time", async () => {
    const { reel: r, asked } = reel();
    expect(r.at(1)).toBeNull();
    await r.want(1);
    expect([r.at(0)![0], r.at(1)![0]]).toEqual([0, 1]);
    await r.want(3);
    expect(r.at(3)![5]).toBe(3);
    await r.want(4);
    expect(r.at(4)!.length).toBe(FRAME);
    expect(asked).toEqual([[0, 2], [2, 4], [4, 5]]);
  });

  it("asks again for what did not come", async () => {
    const { reel: r, asked } = reel(1);
    await expect(r.want(0)).rejects.toThrow("away");
    await r.want(0);
    expect(r.at(0)![0]).toBe(0);
    expect(asked.slice(0, 2)).toEqual([[0, 2], [0, 2]]);
  });
});

it("colours get an alpha", () => {
  expect([...withAlpha(new Uint8Array([1, 2, 3, 4, 5, 6]))]).toEqual([1, 2, 3, 255, 4, 5, 6, 255]);
});
