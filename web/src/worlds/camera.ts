// Cameras around a map, as worlds/voxels/camera.py places them, and their matrices as a capture set holds them: world
// units, column-major, clip z in [-1, 1]. No DOM here.

import { bounds, type BlockMap, type Cell } from "./map";

export const FOVY_DEG = 60;
export const NEAR = 0.1; // world units
const FAR = 500;

/** A pinhole that looks along `forward`; lengths in blocks from the map's corner. */
export interface Camera {
  eye: Cell;
  right: Cell;
  up: Cell;
  forward: Cell;
}

const dot = (a: Cell, b: Cell): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: Cell, b: Cell): Cell => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
const scaled = (a: Cell, by: number): Cell => [a[0] * by, a[1] * by, a[2] * by];

/** At `eye`, with `target` in its middle, upright; one that looks straight down has -z at its top. */
export function lookAt(eye: Cell, target: Cell): Camera {
  const away: Cell = [target[0] - eye[0], target[1] - eye[1], target[2] - eye[2]];
  const forward = scaled(away, 1 / Math.hypot(...away));
  const side = cross(forward, [0, 1, 0]);
  const length = Math.hypot(...side);
  const right: Cell = length > 1e-9 ? scaled(side, 1 / length) : [1, 0, 0];
  return { eye, right, up: cross(right, forward), forward };
}

/** Looks at the middle of a map from a distance at which its bounding sphere fits the picture's height. Azimuth 0 sees
 *  the front (+z), 90 the side +x. */
export function orbit(map: BlockMap, azimuthDeg: number, elevationDeg: number): Camera {
  const middle = map.size.map((n) => n / 2) as Cell;
  const distance = Math.hypot(...middle) / Math.sin((FOVY_DEG * Math.PI) / 360);
  const around = (azimuthDeg * Math.PI) / 180;
  const above = (elevationDeg * Math.PI) / 180;
  const away: Cell = [Math.sin(around) * Math.cos(above), Math.sin(above), Math.cos(around) * Math.cos(above)];
  return lookAt(away.map((v, axis) => middle[axis]! + distance * v) as Cell, middle);
}

const MARGIN = 1.06; // of the distance, around what is built

/** From the front and above, at what is built: as near as it is seen whole, in a picture of this aspect. */
export function portrait(map: BlockMap, aspect: number): { camera: Camera; target: Cell } {
  const [low, high] = bounds(map);
  const size = low.map((v, axis) => high[axis]! + 1 - v) as Cell;
  const middle = low.map((v, axis) => v + size[axis]! / 2) as Cell;
  const { right, up, forward } = orbit(map, 32, 28);
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((signs) => size.map((n, axis) => ((signs >> axis) & 1 ? n : -n) / 2) as Cell);
  const tall = Math.tan((FOVY_DEG * Math.PI) / 360);
  let [distance, lift] = [Math.hypot(...size), 0]; // what is near reaches lower than what is far reaches up
  for (let i = 0; i < 8; i++) {
    const heights = corners.map((c) => (dot(c, up) - lift) / (distance + dot(c, forward)));
    lift += (distance * (Math.max(...heights) + Math.min(...heights))) / 2;
    const needed = corners.map((c) => Math.max(Math.abs(dot(c, right)) / aspect, Math.abs(dot(c, up) - lift)) / tall - dot(c, forward));
    distance = Math.max(...needed);
  }
  const target = middle.map((v, axis) => v + lift * up[axis]!) as Cell;
  const eye = target.map((v, axis) => v - MARGIN * distance * forward[axis]!) as Cell;
  return { camera: { eye, right, up, forward }, target };
}

/** Blocks from the map's corner -> world units, with the map's floor at 0 and its middle above the origin. */
export const toWorld = (map: BlockMap, [x, y, z]: Cell): Cell => {
  const s = map.worldScale;
  return [(x - map.size[0] / 2) * s, y * s, (z - map.size[2] / 2) * s];
};

/** World units to what no view of the map needs to see beyond. */
export const farOf = (map: BlockMap): number =>
  Math.max(FAR, (2 * map.worldScale * Math.hypot(...map.size)) / Math.sin((FOVY_DEG * Math.PI) / 360));

export function viewMatrix(map: BlockMap, { eye, right, up, forward }: Camera): number[] {
  const at = toWorld(map, eye);
  const rows = [right, up, scaled(forward, -1)];
  const columns = [0, 1, 2].flatMap((j) => [...rows.map((row) => row[j]!), 0]);
  return [...columns, ...rows.map((row) => -dot(row, at)), 1];
}

export function projectionMatrix(aspect: number, far: number): number[] {
  const f = 1 / Math.tan((FOVY_DEG * Math.PI) / 360);
  const depth = NEAR - far;
  return [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + NEAR) / depth, -1, 0, 0, (2 * far * NEAR) / depth, 0];
}

/** a b of column-major 4 x 4 matrices. */
export const product = (a: number[], b: number[]): number[] =>
  Array.from({ length: 16 }, (_, i) => [0, 1, 2, 3].reduce((sum, k) => sum + a[(i % 4) + 4 * k]! * b[4 * (i >> 2) + k]!, 0));
