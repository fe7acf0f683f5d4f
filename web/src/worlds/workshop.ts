// What a person does with a world: looks around, walks, builds. The page shows its signals; the viewer draws.

import { signal } from "@preact/signals";
import { belongsToElement } from "../play/keyboard";
import { coatsOf, dressed, type Coat } from "./coats";
import { box, History, mirrored, setTo, type Change, type Mirror } from "./edits";
import { cellOf, count, inside, typeAt, type BlockMap, type Cell } from "./map";
import { AIR, ID, SOLID } from "./palette";
import type { Hit } from "./ray";
import type { Viewer } from "./viewer";
import * as walk from "./walk";

export type View = "orbit" | "walk" | "fly";
export type Tool = "look" | "place" | "remove" | "pick" | "box";
export const TOOLS: readonly { tool: Tool; title: string; key: string }[] = [
  { tool: "look", title: "Look", key: "1" },
  { tool: "place", title: "Place", key: "2" },
  { tool: "remove", title: "Remove", key: "3" },
  { tool: "pick", title: "Pick", key: "4" },
  { tool: "box", title: "Fill box", key: "5" },
];
export const VIEWS: readonly { view: View; title: string; key: string }[] = [
  { view: "orbit", title: "Orbit", key: "O" },
  { view: "walk", title: "Walk", key: "G" },
  { view: "fly", title: "Fly", key: "F" },
];

const CLICK_PX = 5; // a pointer that moved farther was dragged
const TURN_DEG_PER_PX = 0.15;
const ARROW_DEG_A_SECOND = 110;
const MOST_FILLED = 2 ** 18; // cells of a box
/** By which the cursor moves, seen from the front. */
const STEPS: Record<string, Cell> = {
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
  ArrowUp: [0, 0, -1],
  ArrowDown: [0, 0, 1],
  PageUp: [0, 1, 0],
  PageDown: [0, -1, 0],
};
const WALKING = ["KeyW", "KeyA", "KeyS", "KeyD", "Space", "ShiftLeft", "KeyC", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

/** What a click asks for beside the tool that is chosen. */
interface Bent {
  removing?: boolean; // Shift, or the right button of a walker
  picking?: boolean; // Alt, or the middle button
}

export class Workshop {
  readonly view = signal<View>("orbit");
  readonly tool = signal<Tool>("look");
  readonly type = signal(ID.get("Stone")!);
  readonly mirror = signal<Mirror>({ x: false, z: false });
  readonly canUndo = signal(false);
  readonly canRedo = signal(false);
  readonly unsaved = signal(false);
  readonly blocks = signal(0);
  /** What types wear. */
  readonly coats = signal<ReadonlyMap<number, Coat>>(new Map());
  readonly held = signal<ReadonlySet<string>>(new Set());
  /** Where the next click builds, and what is there: for the page and for those who build by keys. */
  readonly place = signal<Cell | null>(null);
  readonly notice = signal("");

  private readonly history: History;
  private changedCoats = false; // since the last save; not undone by Undo, since another choice is as near
  private viewer: Viewer | null = null;
  private canvas: HTMLCanvasElement | null = null;
  private body: walk.Body;
  private eyes: [before: Cell, now: Cell]; // of the last two steps: frames lie between
  private since_s = 0; // since the last step
  private start: Cell | null = null; // of a box
  private cursor: Cell | null = null; // moved by keys

  constructor(readonly map: BlockMap) {
    this.history = new History(map);
    this.body = walk.arrive(map);
    this.eyes = [walk.eyeOf(this.body), walk.eyeOf(this.body)];
    this.blocks.value = count(map);
    this.coats.value = coatsOf(map.customBlocks);
  }

  /** Begins to listen and to draw; returns the undoing. */
  attach(canvas: HTMLCanvasElement, viewer: Viewer): () => void {
    this.canvas = canvas;
    this.viewer = viewer;
    viewer.onFrame = (seconds) => this.frame(seconds);
    const stop = listen(this, canvas);
    return () => {
      stop();
      viewer.dispose();
      this.viewer = null;
    };
  }

  get position(): Cell {
    return [this.body.x, this.body.y, this.body.z];
  }

  get walking(): boolean {
    return this.view.value !== "orbit";
  }

  setView(view: View): void {
    if (view === this.view.value) return;
    if (view === "walk" && walk.hits(this.map, ...this.position)) this.body = walk.arrive(this.map); // from flight
    const before = this.walking;
    this.view.value = view;
    this.held.value = new Set();
    this.eyes = [walk.eyeOf(this.body), walk.eyeOf(this.body)];
    if (before !== this.walking) this.viewer!.orbiting = !this.walking;
    if (!this.walking && document.pointerLockElement) document.exitPointerLock();
    if (this.walking) this.viewer!.look(walk.eyeOf(this.body), walk.lookOf(this.body));
    this.outline();
    this.point(null);
  }

  setTool(tool: Tool): void {
    this.tool.value = tool;
    this.start = null;
    this.outline();
    this.point(null);
  }

  setType(type: number): void {
    this.type.value = type;
    if (this.tool.value !== "box") this.setTool("place");
  }

  undo(): void {
    this.show(this.history.undo());
  }

  redo(): void {
    this.show(this.history.redo());
  }

  /** Puts a material on a type, or takes it off. */
  wear(type: number, coat: Coat | null): void {
    this.map.customBlocks = dressed(this.map.customBlocks, type, coat);
    this.coats.value = coatsOf(this.map.customBlocks);
    this.changedCoats = this.unsaved.value = true;
    this.viewer?.dressed();
  }

  markSaved(): void {
    this.history.markSaved();
    this.changedCoats = this.unsaved.value = false;
  }

  home(): void {
    if (this.walking) this.setView("orbit");
    else this.viewer!.home();
  }

  press(code: string): void {
    if (!this.held.value.has(code)) this.held.value = new Set([...this.held.value, code]);
  }

  release(code: string): void {
    if (this.held.value.has(code)) this.held.value = new Set([...this.held.value].filter((c) => c !== code));
  }

  releaseAll(): void {
    this.held.value = new Set();
  }

  turn(dx_px: number, dy_px: number): void {
    this.body.yawDeg = (this.body.yawDeg + dx_px * TURN_DEG_PER_PX + 360) % 360;
    this.body.pitchDeg = Math.min(Math.max(this.body.pitchDeg - dy_px * TURN_DEG_PER_PX, -walk.MAX_PITCH_DEG), walk.MAX_PITCH_DEG);
    this.viewer?.draw();
  }

  /** The pointer is at a place of the canvas, in CSS pixels; null: it has left. */
  hover(at: [number, number] | null, bent: Bent = {}): void {
    this.cursor = null;
    const tool = this.meant(bent);
    this.point(at && tool !== "look" ? this.target(this.viewer!.pick(...at), tool) : null, tool === "remove");
  }

  click(at: [number, number] | null, bent: Bent = {}): void {
    const tool = this.meant(bent);
    if (tool === "look") return;
    const hit = at ? this.viewer!.pick(...at) : this.viewer!.pick();
    this.apply(tool, this.target(hit, tool), Boolean(bent.removing));
    if (at) this.hover(at, bent);
  }

  /** Moves the cursor of those who build by keys. */
  moveCursor(code: string): void {
    if (this.tool.value === "look") this.setTool("place");
    const by = STEPS[code]!;
    const from = this.cursor ?? this.place.value ?? this.middle();
    const to = from.map((v, axis) => v + by[axis]!) as Cell;
    if (inside(this.map, to)) this.cursor = to;
    else this.cursor = from;
    this.point(this.cursor, this.tool.value === "remove");
  }

  applyAtCursor(bent: Bent = {}): void {
    if (this.cursor) this.apply(this.meant(bent), this.cursor, Boolean(bent.removing));
  }

  cancel(): void {
    this.start = null;
    this.cursor = null;
    this.point(null);
  }

  /** Where a cell is on the canvas, for tests. */
  locate(cell: Cell): [number, number] {
    return this.viewer!.locate(cell);
  }

  /** Builders count blocks; walkers see their own pace by them. */
  private outline(): void {
    this.viewer!.blocks.outlines = this.tool.value !== "look" ? 0.16 : this.walking ? 0.08 : 0;
  }

  private middle(): Cell {
    const [nx, ny, nz] = this.map.size;
    const [x, z] = [nx >> 1, nz >> 1];
    let y = ny - 1;
    while (y > 0 && typeAt(this.map, [x, y - 1, z]) === AIR) y--;
    return [x, y, z];
  }

  private meant({ removing, picking }: Bent): Tool {
    if (this.tool.value === "look") return "look";
    if (picking) return "pick";
    return removing && this.tool.value !== "box" ? "remove" : this.tool.value;
  }

  /** The cell that a tool means: beside the block that was hit, or that block. */
  private target(hit: Hit | null, tool: Tool): Cell | null {
    if (!hit) return null;
    const cell = tool === "place" || tool === "box" ? hit.before : hit.cell;
    return inside(this.map, cell) ? cell : null;
  }

  private apply(tool: Tool, cell: Cell | null, clearing: boolean): void {
    if (!cell) return;
    if (tool === "pick") {
      const found = typeAt(this.map, cell);
      if (found !== AIR) this.type.value = found;
      if (this.tool.value === "pick") this.setTool("place");
    } else if (tool === "place") {
      this.set([cell], this.type.value);
    } else if (tool === "remove") {
      this.set([cell], AIR);
    } else if (!this.start) {
      this.start = cell;
      this.point(cell);
    } else {
      this.fill(this.start, cell, clearing ? AIR : this.type.value);
    }
  }

  private fill(a: Cell, b: Cell, type: number): void {
    const size = a.map((v, axis) => Math.abs(v - b[axis]!) + 1);
    this.start = null;
    if (size[0]! * size[1]! * size[2]! > MOST_FILLED) {
      this.notice.value = `A box of ${size.join(" × ")} is more than ${MOST_FILLED} blocks.`;
      return;
    }
    this.set(box(a, b), type);
    this.point(b);
  }

  private set(cells: Cell[], type: number): void {
    const all = mirrored(this.map, cells, this.mirror.value);
    const free = this.walking && type !== AIR ? all.filter((c) => !walk.touches(this.map, this.body, c)) : all;
    this.show(this.history.do(setTo(this.map, free, type)));
  }

  private show(changes: Change[]): void {
    if (changes.length) this.viewer!.changed(changes.map(({ index }) => cellOf(this.map, index)));
    this.canUndo.value = this.history.canUndo;
    this.canRedo.value = this.history.canRedo;
    this.unsaved.value = this.history.unsaved || this.changedCoats;
    this.blocks.value += changes.reduce((sum, { from, to }) => sum + Number(to !== AIR) - Number(from !== AIR), 0);
    this.notice.value = "";
  }

  /** Marks the cell, or the box from its start to there, with its mirror images. */
  private point(cell: Cell | null, removing = false): void {
    this.place.value = cell;
    const from = this.start ?? cell;
    if (!cell || !from) {
      this.viewer!.mark(this.start ? this.images([this.start, this.start]) : []);
      return;
    }
    const low = from.map((v, axis) => Math.min(v, cell[axis]!)) as Cell;
    const high = from.map((v, axis) => Math.max(v, cell[axis]!)) as Cell;
    this.viewer!.mark(this.images([low, high]), removing);
  }

  private images(box: [Cell, Cell]): [Cell, Cell][] {
    const [nx, , nz] = this.map.size;
    const flip = (boxes: [Cell, Cell][], axis: 0 | 2, n: number): [Cell, Cell][] =>
      boxes.map(([low, high]) => {
        const [a, b]: [Cell, Cell] = [[...low], [...high]];
        [a[axis], b[axis]] = [n - 1 - high[axis], n - 1 - low[axis]];
        return [a, b];
      });
    let boxes = [box];
    if (this.mirror.value.x) boxes = boxes.concat(flip(boxes, 0, nx));
    if (this.mirror.value.z) boxes = boxes.concat(flip(boxes, 2, nz));
    return boxes;
  }

  /** Advances the walker by whole steps; the eye moves on between them. */
  private frame(seconds: number): boolean {
    if (!this.walking) return false;
    const keys = this.held.value;
    const both = (plus: string, minus: string): number => Number(keys.has(plus)) - Number(keys.has(minus));
    const px = (ARROW_DEG_A_SECOND * seconds) / TURN_DEG_PER_PX;
    const [aside, up] = [both("ArrowRight", "ArrowLeft"), both("ArrowUp", "ArrowDown")];
    if (aside || up) this.turn(aside * px, -up * px);
    const held: walk.Held = {
      ahead: both("KeyW", "KeyS"),
      aside: both("KeyD", "KeyA"),
      jump: keys.has("Space"),
      sneak: keys.has("KeyC"),
      sprint: keys.has("ShiftLeft"),
    };
    this.since_s += seconds;
    for (; this.since_s >= 1 / walk.STEPS_A_SECOND; this.since_s -= 1 / walk.STEPS_A_SECOND) {
      (this.view.value === "fly" ? walk.fly : walk.step)(this.map, this.body, held);
      this.eyes = [this.eyes[1], walk.eyeOf(this.body)];
    }
    const share = this.since_s * walk.STEPS_A_SECOND;
    const [before, now] = this.eyes;
    this.viewer!.look(before.map((v, axis) => v + (now[axis]! - v) * share) as Cell, walk.lookOf(this.body));
    if (document.pointerLockElement === this.canvas && this.tool.value !== "look") {
      this.point(this.target(this.viewer!.pick(), this.tool.value), this.tool.value === "remove");
    }
    return true;
  }
}

/** Keys that are not held: what each does, by KeyboardEvent.code. */
function commands(shop: Workshop): Record<string, () => void> {
  const choose = (by: number): void => {
    const i = SOLID.indexOf(shop.type.value);
    shop.setType(SOLID[(i + by + SOLID.length) % SOLID.length]!);
  };
  const flip = (axis: "x" | "z"): void => void (shop.mirror.value = { ...shop.mirror.value, [axis]: !shop.mirror.value[axis] });
  return {
    ...Object.fromEntries(TOOLS.map(({ tool, key }) => [`Digit${key}`, () => shop.setTool(tool)])),
    ...Object.fromEntries(VIEWS.map(({ view, key }) => [`Key${key}`, () => shop.setView(view)])),
    KeyH: () => shop.home(),
    KeyX: () => flip("x"),
    KeyZ: () => flip("z"),
    BracketLeft: () => choose(-1),
    BracketRight: () => choose(1),
    Escape: () => shop.cancel(),
  };
}

function listen(shop: Workshop, canvas: HTMLCanvasElement): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const single = commands(shop);
  const locked = (): boolean => document.pointerLockElement === canvas;
  const at = (e: PointerEvent): [number, number] => [e.offsetX, e.offsetY];
  const bent = (e: KeyboardEvent | PointerEvent): Bent => ({
    removing: e.shiftKey || (locked() && "button" in e && e.button === 2),
    picking: e.altKey || (locked() && "button" in e && e.button === 1),
  });

  const keydown = (e: KeyboardEvent): void => {
    if (belongsToElement(e.target, e.code)) return;
    if (e.ctrlKey || e.metaKey) {
      if (e.code === "KeyZ") e.shiftKey ? shop.redo() : shop.undo();
      else if (e.code === "KeyY") shop.redo();
      else return;
    } else if (shop.walking && WALKING.includes(e.code)) shop.press(e.code);
    else if (!shop.walking && e.code in STEPS) shop.moveCursor(e.code);
    else if (!shop.walking && e.code === "Enter") shop.applyAtCursor(bent(e));
    else if (single[e.code] && !e.repeat) single[e.code]!();
    else return;
    e.preventDefault();
  };
  addEventListener("keydown", keydown, { signal });
  addEventListener("keyup", (e) => shop.release(e.code), { signal });
  addEventListener("blur", () => shop.releaseAll(), { signal });
  document.addEventListener("mousemove", (e) => locked() && shop.turn(e.movementX, e.movementY), { signal });

  let down: [number, number] | null = null;
  const pointerdown = (e: PointerEvent): void => {
    canvas.focus({ preventScroll: true });
    down = [e.clientX, e.clientY];
    if (!shop.walking) return;
    if (locked()) shop.click(null, bent(e));
    else if (e.pointerType === "mouse") void Promise.resolve(canvas.requestPointerLock?.()).catch(() => undefined);
    else canvas.setPointerCapture(e.pointerId);
  };
  const pointerup = (e: PointerEvent): void => {
    const still = down && Math.hypot(e.clientX - down[0], e.clientY - down[1]) < CLICK_PX;
    down = null;
    const builds = !shop.walking || e.pointerType === "touch";
    if (still && builds && e.button === 0) shop.click(at(e), bent(e));
  };
  const pointermove = (e: PointerEvent): void => {
    if (shop.walking && e.pointerType === "touch" && down) shop.turn(-2 * e.movementX, -2 * e.movementY);
    else if (!shop.walking && !e.buttons) shop.hover(at(e), bent(e));
  };
  canvas.addEventListener("pointerdown", pointerdown, { signal });
  canvas.addEventListener("pointerup", pointerup, { signal });
  canvas.addEventListener("pointermove", pointermove, { signal });
  canvas.addEventListener("pointerleave", () => shop.walking || shop.hover(null), { signal });
  canvas.addEventListener("contextmenu", (e) => e.preventDefault(), { signal });
  return () => {
    stop.abort();
    if (locked()) document.exitPointerLock();
  };
}
