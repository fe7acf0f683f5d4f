// The first block on a ray, by 3-D DDA (Amanatides & Woo 1987), as worlds/blocks/raycast.py casts. No DOM here.

import { AIR } from "./palette";
import { inside, typeAt, type BlockMap, type Cell } from "./map";

export interface Hit {
  /** The block that was hit; on the floor below an empty column, one below the map. */
  cell: Cell;
  /** Where a block would be placed: the cell before it. */
  before: Cell;
}

/** From `origin`, in blocks, along `direction`. The floor at y = 0 is hit too. Null for the sky. */
export function cast(map: BlockMap, origin: readonly number[], direction: readonly number[]): Hit | null {
  const entry = enter(map, origin, direction);
  if (entry === null) return null;
  const start = origin.map((o, axis) => o + direction[axis]! * (entry + 1e-9));
  const cell = start.map((v, axis) => Math.min(Math.max(Math.floor(v), 0), map.size[axis]! - 1)) as Cell;
  const step = direction.map(Math.sign);
  const gap = direction.map((d) => 1 / Math.max(Math.abs(d), 1e-12));
  const next = direction.map((d, axis) => (d > 0 ? cell[axis]! + 1 - origin[axis]! : origin[axis]! - cell[axis]!) * gap[axis]!);
  let before: Cell = [...cell];
  while (inside(map, cell)) {
    if (typeAt(map, cell) !== AIR) return { cell: [...cell], before };
    before = [...cell];
    const axis = next[0]! < next[1]! ? (next[0]! < next[2]! ? 0 : 2) : next[1]! < next[2]! ? 1 : 2;
    next[axis]! += gap[axis]!;
    cell[axis]! += step[axis]!;
  }
  return cell[1] < 0 ? { cell, before } : null;
}

/** Distance at which a ray comes into the map, 0 from inside; null if it never does. */
function enter(map: BlockMap, origin: readonly number[], direction: readonly number[]): number | null {
  let near = 0;
  let far = Infinity;
  for (let axis = 0; axis < 3; axis++) {
    const o = origin[axis]!;
    const d = direction[axis]!;
    const n = map.size[axis]!;
    if (Math.abs(d) < 1e-12) {
      if (o < 0 || o >= n) return null;
      continue;
    }
    near = Math.max(near, Math.min(-o / d, (n - o) / d));
    far = Math.min(far, Math.max(-o / d, (n - o) / d));
  }
  return near < far ? near : null;
}
