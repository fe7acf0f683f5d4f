// The visible faces of a map as triangles, a chunk at a time, so that an edit rebuilds little. No DOM here.

import { at, typeAt, type BlockMap, type Cell } from "./map";
import { AIR, LUT } from "./palette";

export const CHUNK = 32; // blocks along a side

/** Counter-clockwise corners of each face, seen from outside. Faces: -x, +x, -y, +y, -z, +z. */
const CORNERS: readonly (readonly Cell[])[] = [
  [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
  [[1, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]],
  [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
  [[0, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]],
  [[1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]],
  [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
];
export const NORMALS: readonly Cell[] = [[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]];

export interface Faces {
  count: number;
  positions: Float32Array; // 4 corners a face, in blocks from the map's corner
  colours: Uint8Array; // RGB of each corner
  indices: Uint32Array; // 2 triangles a face
}

/** How a picture lies on faces. */
export interface Laid {
  normals: Float32Array; // of each corner
  uvs: Float32Array; // of each corner, from the lower left
}

interface Face {
  cell: Cell;
  type: number;
  face: number;
}

/** Chunks along each axis. */
export const chunksOf = (map: BlockMap): Cell => map.size.map((n) => Math.ceil(n / CHUNK)) as Cell;

/** The faces between a block and air, of the blocks in a chunk. */
export const facesOf = (map: BlockMap, chunk: Readonly<Cell>): Faces => built(visible(map, chunk));

/** The same, those of each type in `worn` apart; the others' under AIR. */
export function facesByCoat(map: BlockMap, chunk: Readonly<Cell>, worn: ReadonlySet<number>): Map<number, Faces & Laid> {
  const groups = new Map<number, Face[]>();
  for (const face of visible(map, chunk)) {
    const key = worn.has(face.type) ? face.type : AIR;
    const group = groups.get(key);
    if (group) group.push(face);
    else groups.set(key, [face]);
  }
  return new Map([...groups].map(([type, found]) => [type, { ...built(found), ...laid(found) }]));
}

function built(found: readonly Face[]): Faces {
  const positions = new Float32Array(found.length * 12);
  const colours = new Uint8Array(found.length * 12);
  const indices = new Uint32Array(found.length * 6);
  found.forEach(({ cell, type, face }, i) => {
    CORNERS[face]!.forEach((corner, j) => {
      for (let k = 0; k < 3; k++) {
        positions[i * 12 + j * 3 + k] = cell[k]! + corner[k]!;
        colours[i * 12 + j * 3 + k] = LUT[(type * 6 + face) * 3 + k]!;
      }
    });
    const v = i * 4;
    indices.set([v, v + 1, v + 2, v, v + 2, v + 3], i * 6);
  });
  return { count: found.length, positions, colours, indices };
}

/** Corners begin at the lower left of a face as it is seen from outside, and so does a picture that is laid on it. */
const LAID = [0, 0, 1, 0, 1, 1, 0, 1];

function laid(found: readonly Face[]): Laid {
  const normals = new Float32Array(found.length * 12);
  const uvs = new Float32Array(found.length * 8);
  found.forEach(({ face }, i) => {
    for (let j = 0; j < 4; j++) normals.set(NORMALS[face]!, i * 12 + j * 3);
    uvs.set(LAID, i * 8);
  });
  return { normals, uvs };
}

function visible(map: BlockMap, chunk: Readonly<Cell>): Face[] {
  const found: Face[] = [];
  const [x0, y0, z0] = chunk.map((c) => c * CHUNK) as Cell;
  const [x1, y1, z1] = map.size.map((n, axis) => Math.min(n, (chunk[axis]! + 1) * CHUNK)) as Cell;
  for (let y = y0; y < y1; y++) {
    for (let z = z0; z < z1; z++) {
      for (let x = x0; x < x1; x++) {
        const type = map.blocks[at(map, [x, y, z])]!;
        if (type === AIR) continue;
        NORMALS.forEach(([dx, dy, dz], face) => {
          if (typeAt(map, [x + dx, y + dy, z + dz]) === AIR) found.push({ cell: [x, y, z], type, face });
        });
      }
    }
  }
  return found;
}

/** Keys `x,y,z` of the chunks whose faces a change of these cells can change: a border cell's neighbours count. */
export function chunksAround(map: BlockMap, cells: Iterable<Readonly<Cell>>): Set<string> {
  const keys = new Set<string>();
  const most = chunksOf(map);
  for (const cell of cells) {
    for (const by of [[0, 0, 0] as Cell, ...NORMALS]) {
      const chunk = cell.map((v, axis) => Math.floor((v + by[axis]!) / CHUNK));
      if (chunk.every((c, axis) => c >= 0 && c < most[axis]!)) keys.add(chunk.join());
    }
  }
  return keys;
}
