// The walker's body: one step a frame of 1/20 s, as worlds/blocks/physics.py moves it. No DOM here.

import { AIR } from "./palette";
import { at, inside, type BlockMap, type Cell } from "./map";
import { cast } from "./ray";

export const STEPS_A_SECOND = 20; // of the simulator's recordings
const WALK = 0.4; // blocks a frame
const SPRINT_FACTOR = 1.5;
const SNEAK_FACTOR = 0.5;
const FLY = 0.5;
const HALF_WIDTH = 0.3;
const HEIGHT = 1.8;
const EYE = 1.62;
const SNEAK_DROP = 0.3;
const GRAVITY = 5 / 32;
const JUMP_SPEED = 35 / 64;
const MAX_FALL = 0.9375;
const SKIN = 1e-6;
export const MAX_PITCH_DEG = 89;

/** What is held: steps ahead and aside in -1, 0, 1. */
export interface Held {
  ahead: number;
  aside: number;
  jump: boolean;
  sneak: boolean; // down, for one who flies
  sprint: boolean;
}

/** Feet at (x, y, z) in blocks. Yaw 0 looks along -z, and grows to the right. */
export interface Body {
  x: number;
  y: number;
  z: number;
  vy: number; // blocks a frame
  yawDeg: number;
  pitchDeg: number;
  onGround: boolean;
  lag: number; // blocks that the eye is behind its place after a step up or down
  sneaking: boolean;
}

const standing = (x: number, y: number, z: number, yawDeg: number): Body => ({
  x, y, z, yawDeg, vy: 0, pitchDeg: 0, onGround: true, lag: 0, sneaking: false,
});

export const eyeOf = (b: Body): Cell => [b.x, b.y + EYE - b.lag - (b.sneaking ? SNEAK_DROP : 0), b.z];

/** Unit vector of where a body looks. */
export function lookOf({ yawDeg, pitchDeg }: Body): Cell {
  const yaw = (yawDeg * Math.PI) / 180;
  const pitch = (pitchDeg * Math.PI) / 180;
  return [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), -Math.cos(yaw) * Math.cos(pitch)];
}

/** Whether a body with its feet at (x, y, z) overlaps a solid block. Outside of the map is solid, except above it. */
export function hits(map: BlockMap, x: number, y: number, z: number): boolean {
  const low = [x - HALF_WIDTH, y, z - HALF_WIDTH].map((v) => Math.floor(v + SKIN)) as Cell;
  const high = [x + HALF_WIDTH, y + HEIGHT, z + HALF_WIDTH].map((v) => Math.floor(v - SKIN)) as Cell;
  const [nx, ny, nz] = map.size;
  if (low[0] < 0 || high[0] >= nx || low[2] < 0 || high[2] >= nz || low[1] < 0) return true;
  for (let i = low[0]; i <= high[0]; i++)
    for (let j = low[1]; j <= Math.min(high[1], ny - 1); j++)
      for (let k = low[2]; k <= high[2]; k++) if (map.blocks[at(map, [i, j, k])] !== AIR) return true;
  return false;
}

/** One frame: walk, then fall. */
export function step(map: BlockMap, body: Body, held: Held): void {
  const wasOnGround = body.onGround;
  body.sneaking = held.sneak;
  body.lag = 0;
  const [dx, dz] = stride(body, held, WALK * (held.sneak ? SNEAK_FACTOR : held.sprint ? SPRINT_FACTOR : 1));
  slide(map, body, "x", dx);
  slide(map, body, "z", dz);
  fall(map, body, wasOnGround, held.jump);
  body.lag *= 0.5;
}

/** One frame of flight, through whatever is there, within reach of the map. */
export function fly(map: BlockMap, body: Body, held: Held): void {
  const speed = FLY * (held.sprint ? 2 * SPRINT_FACTOR : 1);
  const [dx, dz] = stride(body, held, speed);
  const room = Math.max(...map.size);
  const within = (v: number, n: number): number => Math.min(Math.max(v, -room), n + room);
  body.x = within(body.x + dx, map.size[0]);
  body.y = within(body.y + speed * (Number(held.jump) - Number(held.sneak)), map.size[1]);
  body.z = within(body.z + dz, map.size[2]);
  Object.assign(body, { vy: 0, lag: 0, onGround: false, sneaking: false });
}

function stride(body: Body, { ahead, aside }: Held, speed: number): [dx: number, dz: number] {
  const by = ahead && aside ? speed / Math.SQRT2 : speed;
  const yaw = (body.yawDeg * Math.PI) / 180;
  return [by * (ahead * Math.sin(yaw) + aside * Math.cos(yaw)), by * (aside * Math.sin(yaw) - ahead * Math.cos(yaw))];
}

/** Along x or z, up to the wall; a walker climbs a wall of one block. */
function slide(map: BlockMap, body: Body, axis: "x" | "z", delta: number): void {
  if (!delta) return;
  const { x, y, z } = body;
  const [toX, toZ] = axis === "x" ? [x + delta, z] : [x, z + delta];
  const up = Math.floor(y + SKIN) + 1;
  if (!hits(map, toX, y, toZ)) {
    body[axis] += delta;
  } else if (body.onGround && !hits(map, x, up, z) && !hits(map, toX, up, toZ)) {
    body[axis] += delta;
    body.y = up;
    body.lag += up - y;
  } else if (delta > 0) {
    body[axis] = Math.max(body[axis], Math.floor(body[axis] + delta + HALF_WIDTH - SKIN) - HALF_WIDTH);
  } else {
    body[axis] = Math.min(body[axis], Math.floor(body[axis] + delta - HALF_WIDTH + SKIN) + 1 + HALF_WIDTH);
  }
}

/** Jump, gravity, ceiling and floor; a walker steps down one block without flying. */
function fall(map: BlockMap, body: Body, wasOnGround: boolean, jump: boolean): void {
  const { x, y, z } = body;
  if (wasOnGround && jump) {
    body.vy = JUMP_SPEED;
  } else if (wasOnGround) {
    body.vy = 0;
    if (hits(map, x, y - 2 * SKIN, z)) return;
    if (hits(map, x, y - 1 - 2 * SKIN, z) && !hits(map, x, y - 1, z)) {
      body.y = y - 1;
      body.lag -= 1;
      return;
    }
    body.vy = -GRAVITY;
  } else {
    body.vy = Math.max(body.vy - GRAVITY, -MAX_FALL);
  }
  let to = y + body.vy;
  if (hits(map, x, to, z)) {
    to = body.vy > 0 ? Math.max(y, Math.floor(to + HEIGHT) - HEIGHT) : Math.min(y, Math.floor(to + SKIN) + 1);
    body.vy = 0;
  }
  body.y = to;
  body.onGround = body.vy <= 0 && hits(map, x, to - 2 * SKIN, z);
  if (body.onGround) body.vy = 0;
}

/** Height of the feet on the highest block of a column. */
function standHeight(map: BlockMap, x: number, z: number): number {
  let y = map.size[1];
  while (y > 0 && !map.blocks[at(map, [x, y - 1, z])]) y--;
  return y;
}

const TRIES = 12; // columns along each side that are looked at
const CLEAR = 6; // blocks of free sight that a place should have
const DISTANCE = 0.32; // of the wider side, from the middle: what is built there is seen

/** A body on open ground that faces the middle: at the map's usual height, so on no roof and in no pit. */
export function arrive(map: BlockMap): Body {
  const [nx, , nz] = map.size;
  const places: { x: number; y: number; z: number }[] = [];
  for (let i = 0; i < TRIES; i++)
    for (let j = 0; j < TRIES; j++) {
      const x = Math.floor(((i + 0.5) * nx) / TRIES);
      const z = nz - 1 - Math.floor(((j + 0.5) * nz) / TRIES); // from the front, z = nz, on
      places.push({ x, y: standHeight(map, x, z), z });
    }
  const usual = places.map((p) => p.y).sort((a, b) => a - b)[Math.floor(places.length / 2)]!;
  const off = ({ x, y, z }: { x: number; y: number; z: number }): number => {
    const away = Math.hypot(x + 0.5 - nx / 2, z + 0.5 - nz / 2) / Math.max(nx, nz);
    const aside = Math.abs(x + 0.5 - nx / 2) / nx; // best straight before the front
    const blocked = Math.max(0, CLEAR - ahead(map, facing(map, x, y, z)));
    return Math.abs(y - usual) + 10 * Math.abs(away - DISTANCE) + 2 * aside + blocked + (z + 0.5 < nz / 2 ? 1 : 0);
  };
  const best = places.map((place) => ({ place, off: off(place) })).reduce((a, b) => (b.off < a.off ? b : a)).place;
  return facing(map, best.x, best.y, best.z);
}

/** A body on a cell, turned to the map's middle. */
function facing({ size: [nx, , nz] }: BlockMap, x: number, y: number, z: number): Body {
  const yaw = Math.atan2(nx / 2 - x - 0.5, z + 0.5 - nz / 2);
  return standing(x + 0.5, y, z + 0.5, (yaw * 180) / Math.PI);
}

/** Blocks from the eye to what it looks at; infinite in the sky. */
function ahead(map: BlockMap, body: Body): number {
  const eye = eyeOf(body);
  const hit = cast(map, eye, lookOf(body));
  return hit ? Math.hypot(...hit.cell.map((v, axis) => v + 0.5 - eye[axis]!)) : Infinity;
}

/** Whether a cell overlaps a body: nobody is walled in by what he places. */
export const touches = (map: BlockMap, body: Body, [x, y, z]: Readonly<Cell>): boolean =>
  inside(map, [x, y, z]) &&
  x + 1 > body.x - HALF_WIDTH && x < body.x + HALF_WIDTH &&
  z + 1 > body.z - HALF_WIDTH && z < body.z + HALF_WIDTH &&
  y + 1 > body.y && y < body.y + HEIGHT;
