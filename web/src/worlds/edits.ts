// Edits of a map: what each tool changes, mirrored, undone and done again. No DOM here.

import { at, inside, type BlockMap, type Cell } from "./map";

/** A place and what is there before and after. */
export interface Change {
  index: number;
  from: number;
  to: number;
}

export interface Mirror {
  x: boolean;
  z: boolean;
}

/** The cells with their mirror images in the planes through the map's middle, each once. */
export function mirrored(map: BlockMap, cells: readonly Cell[], mirror: Mirror): Cell[] {
  const [nx, , nz] = map.size;
  let all = [...cells];
  if (mirror.x) all = all.concat(all.map(([x, y, z]) => [nx - 1 - x, y, z]));
  if (mirror.z) all = all.concat(all.map(([x, y, z]) => [x, y, nz - 1 - z]));
  const seen = new Set<number>();
  return all.filter((cell) => !seen.has(at(map, cell)) && seen.add(at(map, cell)));
}

/** Every cell of the box with these corners, whichever way they lie. */
export function box(a: Readonly<Cell>, b: Readonly<Cell>): Cell[] {
  const low = a.map((v, axis) => Math.min(v, b[axis]!)) as Cell;
  const high = a.map((v, axis) => Math.max(v, b[axis]!)) as Cell;
  const cells: Cell[] = [];
  for (let y = low[1]; y <= high[1]; y++)
    for (let z = low[2]; z <= high[2]; z++) for (let x = low[0]; x <= high[0]; x++) cells.push([x, y, z]);
  return cells;
}

/** What setting these cells to `type` changes; cells outside of the map are left out. */
export const setTo = (map: BlockMap, cells: readonly Cell[], type: number): Change[] =>
  cells
    .filter((cell) => inside(map, cell))
    .map((cell) => ({ index: at(map, cell), from: map.blocks[at(map, cell)]!, to: type }))
    .filter(({ from, to }) => from !== to);

/** The edits of one map, which it changes in place. */
export class History {
  private readonly done: Change[][] = [];
  private undone: Change[][] = [];
  private saved: Change[] | undefined; // the newest edit in what was saved; undefined: none

  constructor(private readonly map: BlockMap) {}

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** Whether the map differs from what was opened or saved last. */
  get unsaved(): boolean {
    return this.done.at(-1) !== this.saved;
  }

  markSaved(): void {
    this.saved = this.done.at(-1);
  }

  /** Makes an edit and returns it; one without a change is none. */
  do(changes: Change[]): Change[] {
    if (!changes.length) return [];
    this.done.push(changes);
    this.undone = [];
    return this.make(changes);
  }

  /** Takes the newest edit back; returns what that changed. */
  undo(): Change[] {
    const changes = this.done.pop();
    if (!changes) return [];
    this.undone.push(changes);
    return this.make(changes.map(({ index, from, to }) => ({ index, from: to, to: from })));
  }

  redo(): Change[] {
    const changes = this.undone.pop();
    if (!changes) return [];
    this.done.push(changes);
    return this.make(changes);
  }

  private make(changes: Change[]): Change[] {
    for (const { index, to } of changes) this.map.blocks[index] = to;
    return changes;
  }
}
