import { describe, expect, it } from "vitest";
import { at, cellOf, count, mapText, meadow, nextVersion, parseMap, typeAt } from "../../src/worlds/map";
import { ID } from "../../src/worlds/palette";

const given = (blocks: unknown[], change: Record<string, unknown> = {}) => ({
  sequence: 3,
  lastUpdated: "2024-05-01T00:00:00+00:00",
  captureId: "6b1f4f6e-0000-4000-8000-000000000000",
  worldScale: 2,
  worldConfig: { seed: 123, dimensions: { x: 4, y: 3, z: 5 }, worldScale: 2 },
  blocks,
  customBlocks: [{ name: "mine" }],
  ...change,
});
const block = (position: unknown, blockType: unknown = "Stone") => ({ position, blockType });
const parse = (data: unknown) => parseMap(JSON.stringify(data));

describe("map.json", () => {
  it("is written back as it was read, ordered by y, then z, then x", () => {
    const data = given([block([3, 0, 0]), block([0, 0, 1], "Water"), block([1, 0, 1], "RedWool"), block([0, 2, 0])]);
    expect(JSON.parse(mapText(parse(data)))).toEqual(data);
    const shuffled = parse(given([...data.blocks].reverse()));
    expect(JSON.parse(mapText(shuffled)).blocks).toEqual(data.blocks);
  });

  it("takes the scale from the top, else from worldConfig", () => {
    expect(parse(given([], { worldScale: 3 })).worldScale).toBe(3);
    const { worldScale: _, ...without } = given([]);
    expect(parse(without).worldScale).toBe(2);
  });

  it.each([
    [[block([0, 0, 0]), block([1, 0, 0], "Cheese")], "block 1 at [1,0,0] of type 'Cheese': unknown type"],
    [[block([4, 0, 0])], "block 0 at [4,0,0] of type 'Stone': x is out of bounds, expected 0..3"],
    [[block([0, -1, 0])], "y is out of bounds, expected 0..2"],
    [[block([0, 0.5, 0])], "expected a position of three integers"],
    [[block([0, 0, 0]), block([0, 0, 0], "Sand")], "block 1 at [0,0,0] of type 'Sand': duplicate, Stone is already there"],
    [[{ position: [0, 0, 0] }], "block 0 at [0,0,0] lacks the key 'blockType'"],
    [[7], "block 0: expected an object, got 7"],
  ])("names a bad block", (blocks, message) => {
    expect(() => parse(given(blocks))).toThrow(message);
  });

  it.each([
    ["[]", "the map: expected an object"],
    ["{", "not JSON"],
    [JSON.stringify(given([], { worldScale: 0 })), "worldScale is 0: expected a positive number"],
    [JSON.stringify(given([], { worldConfig: { dimensions: { x: 4, y: 0, z: 4 } } })), "dimensions.y is 0"],
    [JSON.stringify(given([], { worldConfig: { dimensions: { x: 1024, y: 1024, z: 1024 } } })), "places in all"],
    [JSON.stringify(given([], { blocks: {} })), "'blocks' of the map: expected a list"],
  ])("names what is wrong with a map", (text, message) => {
    expect(() => parseMap(text)).toThrow(message);
  });

  it("has a cell for each index, x innermost", () => {
    const map = meadow([3, 2, 4]);
    expect(at(map, [1, 1, 2])).toBe((1 * 4 + 2) * 3 + 1);
    for (let i = 0; i < map.blocks.length; i++) expect(at(map, cellOf(map, i))).toBe(i);
    expect(count(map)).toBe(12);
    expect([typeAt(map, [0, 0, 0]), typeAt(map, [0, 1, 0]), typeAt(map, [-1, 0, 0])]).toEqual([ID.get("Grass"), 0, 0]);
  });

  it("gets another capture id and sequence as its next version", () => {
    const map = parse(given([block([0, 0, 0])]));
    const next = nextVersion(map);
    expect(next.sequence).toBe(4);
    expect(next.captureId).not.toBe(map.captureId);
    expect(next.captureId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(count(next)).toBe(1);
  });
});
