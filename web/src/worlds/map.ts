// map.json: a block world as a file. Mirrors worlds/blocks/map_json.py: the same order, checks and words. No DOM here.

import { coatsOf } from "./coats";
import { AIR, ID, NAMES } from "./palette";

export const MAX_SIDE = 1024; // blocks along one axis
export const MAX_PLACES = 2 ** 26; // air included

export type Cell = [x: number, y: number, z: number];

export interface BlockMap {
  readonly size: Readonly<Cell>;
  /** Ids of types, in the file's order: y, then z, then x, which is innermost. */
  readonly blocks: Uint8Array;
  readonly worldScale: number; // world units a block
  readonly seed: number;
  readonly sequence: number;
  readonly lastUpdated: string;
  readonly captureId: string;
  /** As it was read; what types wear is among it (coats.ts). */
  customBlocks: unknown[];
}

/** A UUID; not crypto.randomUUID, which plain HTTP beyond localhost lacks. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40; // version 4
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Where a cell lies in `blocks`. */
export const at = ({ size: [nx, , nz] }: BlockMap, [x, y, z]: Readonly<Cell>): number => (y * nz + z) * nx + x;

export const cellOf = ({ size: [nx, , nz] }: BlockMap, index: number): Cell => [
  index % nx,
  Math.floor(index / (nx * nz)),
  Math.floor(index / nx) % nz,
];

export const inside = ({ size }: BlockMap, cell: Readonly<Cell>): boolean =>
  cell.every((v, axis) => v >= 0 && v < size[axis]!);

/** The type at a cell; air outside of the map. */
export const typeAt = (map: BlockMap, cell: Readonly<Cell>): number =>
  inside(map, cell) ? map.blocks[at(map, cell)]! : AIR;

/** Blocks that are not air. */
export const count = (map: BlockMap): number => map.blocks.reduce((sum, type) => sum + (type === AIR ? 0 : 1), 0);

/** The lowest and the highest cell that hold everything there is; the whole map where it is empty. */
export function bounds(map: BlockMap): [low: Cell, high: Cell] {
  const low: Cell = [...map.size];
  const high: Cell = [-1, -1, -1];
  map.blocks.forEach((type, index) => {
    if (type === AIR) return;
    cellOf(map, index).forEach((v, axis) => {
      low[axis] = Math.min(low[axis]!, v);
      high[axis] = Math.max(high[axis]!, v);
    });
  });
  return high[0] < 0 ? [[0, 0, 0], map.size.map((n) => n - 1) as Cell] : [low, high];
}

/** A world of `size` with a floor of grass. */
export function meadow(size: Readonly<Cell>): BlockMap {
  const map: BlockMap = {
    size,
    blocks: new Uint8Array(size[0] * size[1] * size[2]),
    worldScale: 2,
    seed: 0,
    sequence: 1,
    lastUpdated: new Date().toISOString(),
    captureId: newId(),
    customBlocks: [],
  };
  map.blocks.fill(ID.get("Grass")!, 0, size[0] * size[2]);
  return map;
}

type Json = Record<string, unknown>;

const show = (value: unknown): string => (typeof value === "string" ? `'${value}'` : (JSON.stringify(value) ?? "nothing"));

function get(holder: unknown, key: string, where: string): unknown {
  if (typeof holder !== "object" || holder === null || Array.isArray(holder)) {
    throw new Error(`${where}: expected an object, got ${show(holder)}`);
  }
  if (!(key in holder)) throw new Error(`${where} lacks the key '${key}'`);
  return (holder as Json)[key];
}

function sizeOf(config: unknown): Cell {
  const dimensions = get(config, "dimensions", "worldConfig");
  const sides = ["x", "y", "z"].map((axis) => {
    const side = get(dimensions, axis, "worldConfig.dimensions");
    if (!Number.isInteger(side) || (side as number) < 1 || (side as number) > MAX_SIDE) {
      throw new Error(`worldConfig.dimensions.${axis} is ${show(side)}: expected an integer in 1..${MAX_SIDE}`);
    }
    return side as number;
  }) as Cell;
  if (sides[0] * sides[1] * sides[2] > MAX_PLACES) {
    throw new Error(`worldConfig.dimensions are ${show(sides)}: expected at most ${MAX_PLACES} places in all`);
  }
  return sides;
}

function put(map: BlockMap, index: number, entry: unknown): void {
  const position = get(entry, "position", `block ${index}`);
  const name = get(entry, "blockType", `block ${index} at ${show(position)}`);
  const where = `block ${index} at ${show(position)} of type ${show(name)}`;
  const type = typeof name === "string" ? ID.get(name) : undefined;
  if (type === undefined) throw new Error(`${where}: unknown type, expected one of ${NAMES.join(", ")}`);
  if (!Array.isArray(position) || position.length !== 3 || !position.every(Number.isInteger)) {
    throw new Error(`${where}: expected a position of three integers [x, y, z]`);
  }
  const cell = position as Cell;
  const out = cell.findIndex((v, axis) => v < 0 || v >= map.size[axis]!);
  if (out >= 0) throw new Error(`${where}: ${"xyz"[out]} is out of bounds, expected 0..${map.size[out]! - 1}`);
  const there = map.blocks[at(map, cell)]!;
  if (there !== AIR) throw new Error(`${where}: duplicate, ${NAMES[there]} is already there`);
  map.blocks[at(map, cell)] = type;
}

/** The map in the text of a map.json. The error of a bad one names the block and what was expected. */
export function parseMap(text: string): BlockMap {
  let data: Json;
  try {
    data = JSON.parse(text);
  } catch (e) {
    throw new Error(`the map is not JSON: ${e instanceof Error ? e.message : e}`);
  }
  const config = get(data, "worldConfig", "the map") as Json;
  const entries = get(data, "blocks", "the map");
  if (!Array.isArray(entries)) throw new Error(`'blocks' of the map: expected a list, got ${show(entries)}`);
  const scale = "worldScale" in data ? data["worldScale"] : get(config, "worldScale", "the map");
  if (typeof scale !== "number" || !(scale > 0)) throw new Error(`worldScale is ${show(scale)}: expected a positive number`);
  const custom = data["customBlocks"] ?? [];
  if (!Array.isArray(custom)) throw new Error(`'customBlocks' of the map: expected a list, got ${show(custom)}`);
  coatsOf(custom); // throws where one is bad
  const size = sizeOf(config);
  const map: BlockMap = {
    size,
    blocks: new Uint8Array(size[0] * size[1] * size[2]),
    worldScale: scale,
    seed: (config["seed"] as number | undefined) ?? 0,
    sequence: (data["sequence"] as number | undefined) ?? 1,
    lastUpdated: (data["lastUpdated"] as string | undefined) ?? new Date().toISOString(),
    captureId: (data["captureId"] as string | undefined) ?? newId(),
    customBlocks: custom,
  };
  entries.forEach((entry, index) => put(map, index, entry));
  return map;
}

/** The text of the map's map.json. */
export function mapText(map: BlockMap): string {
  const [x, y, z] = map.size;
  const blocks: Json[] = [];
  map.blocks.forEach((type, index) => {
    if (type !== AIR) blocks.push({ position: cellOf(map, index), blockType: NAMES[type] });
  });
  return JSON.stringify({
    sequence: map.sequence,
    lastUpdated: map.lastUpdated,
    captureId: map.captureId,
    worldScale: map.worldScale,
    worldConfig: { seed: map.seed, dimensions: { x, y, z }, worldScale: map.worldScale },
    blocks,
    customBlocks: map.customBlocks,
  });
}

/** The map as its next version: its blocks, a later sequence, a new capture id. */
export const nextVersion = (map: BlockMap): BlockMap => ({
  ...map,
  sequence: map.sequence + 1,
  lastUpdated: new Date().toISOString(),
  captureId: newId(),
});
