import { describe, expect, it } from "vitest";
import { COAT_SIDE, coatsOf, dressed, type Coat } from "../../src/worlds/coats";
import { at, mapText, meadow, parseMap } from "../../src/worlds/map";
import { facesByCoat, facesOf } from "../../src/worlds/mesh";
import { ID } from "../../src/worlds/palette";

const STONE = ID.get("Stone")!;
const bytes = (value: number) => new Uint8Array(COAT_SIDE * COAT_SIDE * 3).fill(value);
const coat: Coat = { material: "an-id", name: "Bricks", texels: { basecolor: bytes(7), normal: bytes(128), orm: bytes(255) } };
const foreign = [{ name: "mine" }, 7, { texels: "another's" }];

describe("what types wear", () => {
  it("is kept in map.json beside what other programs left, and read back", () => {
    const map = meadow([4, 4, 4]);
    map.customBlocks = dressed(foreign, STONE, coat);
    const back = parseMap(mapText(map));
    expect(back.customBlocks.slice(0, 3)).toEqual(foreign);
    expect(coatsOf(back.customBlocks)).toEqual(new Map([[STONE, coat]]));
    expect(mapText(back)).toBe(mapText(map));
  });

  it("is one for each type, and can be taken off", () => {
    const twice = dressed(dressed(foreign, STONE, coat), STONE, { ...coat, name: "Marble" });
    expect([...coatsOf(twice).values()].map(({ name }) => name)).toEqual(["Marble"]);
    expect(dressed(twice, STONE, null)).toEqual(foreign);
  });

  it.each([
    [{ blockType: "Cheese" }, "entry 0 of customBlocks: blockType \"Cheese\", expected one of Grass"],
    [{ texels: { side: 16 } }, "texels.side is 16, expected 32"],
    [{ texels: { side: 32, basecolor: "AAAA" } }, "texels.basecolor has 3 bytes, expected 32 x 32 x 3"],
  ])("is refused where it is bad: %j", (change, message) => {
    const [entry] = dressed([], STONE, coat) as [object];
    expect(() => coatsOf([{ ...entry, ...change }])).toThrow(message);
  });
});

describe("faces by coat", () => {
  it("are all faces, those of a dressed type apart, with upright pictures", () => {
    const map = meadow([3, 3, 3]);
    map.blocks[at(map, [1, 1, 1])] = STONE;
    const groups = facesByCoat(map, [0, 0, 0], new Set([STONE]));
    expect([...groups.values()].reduce((sum, { count }) => sum + count, 0)).toBe(facesOf(map, [0, 0, 0]).count);
    const { count, positions, normals, uvs } = groups.get(STONE)!;
    expect(count).toBe(5);
    for (let i = 0; i < count * 4; i++) {
      const [nx, ny, nz] = [normals[3 * i]!, normals[3 * i + 1]!, normals[3 * i + 2]!];
      if (ny === 0) expect(uvs[2 * i + 1]).toBe(positions[3 * i + 1]! - 1); // up is up
      const across = nz !== 0 ? (positions[3 * i]! - 1.5) * nz : nx !== 0 ? (1.5 - positions[3 * i + 2]!) * nx : 0;
      if (ny === 0) expect(uvs[2 * i]! - 0.5).toBe(across); // not mirrored
    }
  });
});
