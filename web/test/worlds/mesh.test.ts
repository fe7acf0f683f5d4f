import { describe, expect, it } from "vitest";
import { at, meadow, type BlockMap, type Cell } from "../../src/worlds/map";
import { CHUNK, chunksAround, chunksOf, facesOf, NORMALS } from "../../src/worlds/mesh";
import { LUT } from "../../src/worlds/palette";

const empty = (size: Cell): BlockMap => {
  const map = meadow(size);
  map.blocks.fill(0);
  return map;
};
const allFaces = (map: BlockMap): number => {
  const [nx, ny, nz] = chunksOf(map);
  let sum = 0;
  for (let x = 0; x < nx; x++)
    for (let y = 0; y < ny; y++) for (let z = 0; z < nz; z++) sum += facesOf(map, [x, y, z]).count;
  return sum;
};

describe("facesOf", () => {
  it("draws six faces of a block, each outward and in its own colour", () => {
    const map = empty([3, 3, 3]);
    map.blocks[at(map, [1, 1, 1])] = 3;
    const { count, positions, colours, indices } = facesOf(map, [0, 0, 0]);
    expect(count).toBe(6);
    const corner = (i: number): Cell => [positions[3 * i]!, positions[3 * i + 1]!, positions[3 * i + 2]!];
    for (let face = 0; face < 6; face++) {
      const [a, b, c] = [0, 1, 2].map((k) => corner(indices[face * 6 + k]!)) as [Cell, Cell, Cell];
      const [u, v] = [b, c].map((p) => p.map((x, k) => x - a[k]!)) as [Cell, Cell];
      const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      expect(normal.map((x) => x + 0)).toEqual(NORMALS[face]);
      expect([...colours.slice(face * 12, face * 12 + 3)]).toEqual([...LUT.slice((3 * 6 + face) * 3, (3 * 6 + face) * 3 + 3)]);
    }
  });

  it("leaves out faces between blocks, across chunks too", () => {
    const map = empty([2 * CHUNK, 2, 2]);
    map.blocks[at(map, [CHUNK - 1, 0, 0])] = 1;
    map.blocks[at(map, [CHUNK, 0, 0])] = 2;
    expect(allFaces(map)).toBe(10);
    map.blocks.fill(1);
    expect(allFaces(map)).toBe(2 * (4 + 2 * 4 * CHUNK));
  });

  it("holds 88,000 blocks of which none hides another", () => {
    const map = empty([64, 48, 64]);
    let placed = 0;
    for (let i = 0; i < map.blocks.length && placed < 88_000; i++) {
      const [x, z, y] = [i % 64, Math.floor(i / 64) % 64, Math.floor(i / 4096)];
      if ((x + y + z) % 2 === 0) {
        map.blocks[i] = 3;
        placed += 1;
      }
    }
    expect(placed).toBe(88_000);
    expect(allFaces(map)).toBe(6 * 88_000);
  });
});

describe("chunksAround", () => {
  it("names the chunk of a cell, and its neighbours at a border", () => {
    const map = empty([2 * CHUNK, 10, 10]);
    expect([...chunksAround(map, [[3, 0, 0]])]).toEqual(["0,0,0"]);
    expect([...chunksAround(map, [[CHUNK - 1, 5, 5]])].sort()).toEqual(["0,0,0", "1,0,0"]);
  });
});
