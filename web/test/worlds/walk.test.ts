import { describe, expect, it } from "vitest";
import { box } from "../../src/worlds/edits";
import { at, meadow, type BlockMap, type Cell } from "../../src/worlds/map";
import { cast } from "../../src/worlds/ray";
import { arrive, fly, hits, step, touches, type Body, type Held } from "../../src/worlds/walk";

const still: Held = { ahead: 0, aside: 0, jump: false, sneak: false, sprint: false };
const ahead: Held = { ...still, ahead: 1 };
const body = (x: number, y: number, z: number): Body => ({
  x, y, z, vy: 0, yawDeg: 0, pitchDeg: 0, onGround: true, lag: 0, sneaking: false,
});
const build = (map: BlockMap, a: Cell, b: Cell): BlockMap => {
  for (const cell of box(a, b)) map.blocks[at(map, cell)] = 3;
  return map;
};

describe("step", () => {
  it("walks .4 blocks a frame along -z, as fast aslant, faster at a run", () => {
    const map = meadow([16, 8, 16]);
    const walker = body(8.5, 1, 12.5);
    step(map, walker, ahead);
    expect(walker.z).toBeCloseTo(12.1);
    step(map, walker, { ...ahead, aside: 1, sprint: true });
    expect([walker.x - 8.5, 12.1 - walker.z]).toEqual([expect.closeTo(0.6 / Math.SQRT2), expect.closeTo(0.6 / Math.SQRT2)]);
    expect(walker.onGround).toBe(true);
  });

  it("stops at a wall of two, climbs one block, and steps down again", () => {
    const walker = body(8.5, 1, 6.5);
    const walls = build(meadow([16, 8, 16]), [0, 1, 3], [15, 2, 3]);
    for (let i = 0; i < 20; i++) step(walls, walker, ahead);
    expect([walker.y, walker.z]).toEqual([1, expect.closeTo(4.3)]);
    const stairs = build(meadow([16, 8, 16]), [0, 1, 3], [15, 1, 3]);
    const climber = body(8.5, 1, 6.5);
    const heights = new Set<number>();
    for (let i = 0; i < 14; i++) {
      step(stairs, climber, ahead);
      heights.add(climber.y);
    }
    expect(climber.z).toBeLessThan(2);
    expect([...heights]).toEqual([1, 2]);
    expect(climber.y).toBe(1);
  });

  it("jumps 1.25 blocks in four frames and is down after eight, as the simulator does", () => {
    const map = meadow([16, 8, 16]);
    const jumper = body(8.5, 1, 8.5);
    const heights = Array.from({ length: 8 }, (_, i) => {
      step(map, jumper, { ...still, jump: i === 0 });
      return jumper.y - 1;
    });
    const exact = [1, 2, 3, 4, 5, 6, 7, 8].map((k) => (k * 35) / 64 - ((k * (k - 1)) / 2) * (5 / 32));
    expect(heights).toEqual(exact);
    expect(jumper.onGround).toBe(true);
  });

  it("falls onto the ground, hits its head, and cannot leave the map", () => {
    const map = build(meadow([16, 8, 16]), [8, 3, 8], [8, 3, 8]);
    const walker = { ...body(8.5, 1, 8.5), onGround: true };
    step(map, walker, { ...still, jump: true });
    expect(walker.y).toBeCloseTo(1.2); // 3 - 1.8
    const faller = { ...body(3.5, 6.4, 3.5), onGround: false };
    for (let i = 0; i < 20; i++) step(map, faller, still);
    expect([faller.y, faller.onGround]).toEqual([1, true]);
    for (let i = 0; i < 60; i++) step(map, faller, ahead);
    expect(faller.z).toBeCloseTo(0.3);
  });

  it("flies through walls, up and down", () => {
    const map = build(meadow([16, 8, 16]), [0, 1, 3], [15, 7, 3]);
    const flier = body(8.5, 1, 8.5);
    for (let i = 0; i < 12; i++) fly(map, flier, { ...ahead, jump: true });
    expect([flier.y, flier.z]).toEqual([7, 2.5]);
  });
});

describe("arrive", () => {
  it("stands on open ground before what is built, and faces it", () => {
    const map = build(meadow([16, 16, 16]), [5, 1, 5], [10, 9, 10]);
    const walker = arrive(map);
    expect(walker.y).toBe(1);
    expect(hits(map, walker.x, walker.y, walker.z)).toBe(false);
    expect(hits(map, walker.x, walker.y - 0.1, walker.z)).toBe(true);
    expect(walker.z).toBeGreaterThan(11);
    expect(Math.abs(walker.yawDeg)).toBeLessThan(40);
    expect(touches(map, walker, [Math.floor(walker.x), 1, Math.floor(walker.z)])).toBe(true);
    expect(touches(map, walker, [Math.floor(walker.x), 0, Math.floor(walker.z)])).toBe(false);
  });
});

describe("cast", () => {
  const map = build(meadow([8, 8, 8]), [4, 1, 4], [4, 1, 4]);

  it("hits the first block, and knows the cell before it", () => {
    expect(cast(map, [4.5, 6, 4.5], [0, -1, 0])).toEqual({ cell: [4, 1, 4], before: [4, 2, 4] });
    expect(cast(map, [4.5, 1.5, 20], [0, 0, -1])).toEqual({ cell: [4, 1, 4], before: [4, 1, 5] });
    expect(cast(map, [1.5, 6, 1.5], [0, -1, 0])).toEqual({ cell: [1, 0, 1], before: [1, 1, 1] });
  });

  it("hits the floor of an empty map, and not the sky", () => {
    const bare = meadow([8, 8, 8]);
    bare.blocks.fill(0);
    expect(cast(bare, [4.5, 6, 4.5], [0, -1, 0])).toEqual({ cell: [4, -1, 4], before: [4, 0, 4] });
    expect(cast(map, [4.5, 6, 4.5], [0, 1, 0])).toBeNull();
    expect(cast(map, [-4, 20, 4], [-1, 0, 0])).toBeNull();
  });
});
