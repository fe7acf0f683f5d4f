// One world: seen, walked through, built in, saved as a new version, used.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { coatOf } from "../materials/picture";
import { go, path, query } from "../router";
import { Legend, TOUCH } from "./Legend";
import { mapText, meadow, nextVersion, parseMap, type Cell } from "./map";
import { ID } from "./palette";
import { Panel } from "./Panel";
import { keepWorld } from "./save";
import { Workshop } from "./workshop";
import "./worlds.css";

/** A world that is open: its asset, or null for one that was never saved. */
export interface Opened {
  asset: api.Asset | null;
  shop: Workshop;
}

/** `id` is that of an asset, or `new`. */
export function World({ id }: { id: string }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let gone = false;
    if (id === opened?.asset?.id) return; // just saved
    setOpened(null);
    setProblem("");
    if (id === "new") return;
    void open(id).then(
      (found) => gone || setOpened(found),
      (e) => gone || setProblem(e instanceof Error ? e.message : String(e)),
    );
    return () => void (gone = true);
  }, [id]);
  useEffect(() => {
    document.title = `${opened?.asset?.name ?? "World"} · Terrarium`;
  }, [opened?.asset?.name]);
  if (opened) return <Room opened={opened} saved={(asset) => setOpened({ ...opened, asset })} />;
  if (id === "new") return <Begin begin={(size) => setOpened({ asset: null, shop: new Workshop(meadow(size)) })} />;
  return (
    <main class="page">
      <Back />
      <h1>World</h1>
      <p class={problem && "error"} role={problem ? "alert" : undefined}>
        {problem || "Loading…"}
      </p>
    </main>
  );
}

async function open(id: string): Promise<Opened> {
  const asset = await api.getAsset(id);
  const shop = new Workshop(parseMap(await api.getText(api.worldFile(id, "map.json"))));
  await dressAsAsked(shop);
  return { asset, shop };
}

/** A link such as /worlds/ID?wear=MATERIAL&on=Stone puts a material on a type. */
async function dressAsAsked(shop: Workshop): Promise<void> {
  const [material, type] = [query.value.get("wear"), ID.get(query.value.get("on") ?? "")];
  if (!material || !type) return;
  shop.wear(type, await coatOf(await api.getAsset(material)));
  shop.type.value = type;
  go(path.value, true);
}

const Back = () => (
  <p class="back">
    <a href="/worlds">Worlds</a>
  </p>
);

const SIZES: [title: string, size: Cell][] = [
  ["16 × 16 × 16, a house", [16, 16, 16]],
  ["32 × 24 × 32, a castle", [32, 24, 32]],
  ["64 × 32 × 64, a village", [64, 32, 64]],
];

function Begin({ begin }: { begin: (size: Cell) => void }) {
  return (
    <main class="page">
      <Back />
      <h1>Build a world</h1>
      <p class="lead">A meadow to begin with. How large?</p>
      <p class="sizes">
        {SIZES.map(([title, size]) => (
          <button key={title} type="button" onClick={() => begin(size)}>
            {title}
          </button>
        ))}
      </p>
    </main>
  );
}

function Room({ opened, saved }: { opened: Opened; saved: (asset: api.Asset) => void }) {
  const { asset, shop } = opened;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [ready, setReady] = useState(false);
  const [problem, setProblem] = useState("");
  const locked = usePointerLock(canvas);

  useEffect(() => {
    let detach: (() => void) | null = null;
    let gone = false;
    const start = async (): Promise<void> => {
      const { Viewer } = await import("./viewer"); // brings three.js
      if (gone) return;
      detach = shop.attach(canvas.current!, new Viewer(canvas.current!, shop.map));
      setReady(true);
    };
    start().catch((e) => setProblem(`This world cannot be drawn: ${e instanceof Error ? e.message : e}`));
    expose(shop);
    const stopWarning = warnOfLoss(shop);
    return () => {
      gone = true;
      detach?.();
      stopWarning();
      delete window.__world;
    };
  }, [shop]);

  const save = async (name: string): Promise<void> => {
    const next = nextVersion(shop.map);
    const made = await keepWorld(mapText(next), next, { name, ...(asset && { made_from: asset.id }) });
    shop.markSaved();
    saved(made);
    go(`/worlds/${made.id}`, true);
  };
  return (
    <main class="world">
      <div class="stage">
        <header class="world-title">
          <Back />
          <h1>{asset?.name ?? "New world"}</h1>
          <span class="quiet">
            {shop.map.size.join(" × ")} · {shop.blocks.value.toLocaleString("en")} blocks
          </span>
          {shop.unsaved.value && <mark>not saved</mark>}
        </header>
        <div class="glass">
          <canvas
            id="world"
            ref={canvas}
            tabIndex={0}
            role="img"
            aria-label={`${asset?.name ?? "A new world"}, ${shop.map.size.join(" by ")} blocks. The keys are listed below.`}
            data-view={shop.view.value}
            data-tool={shop.tool.value}
            data-locked={locked}
          />
          {!ready && <p class="notice">{problem || "Building the world…"}</p>}
          {locked && shop.tool.value !== "look" && <i class="crosshair" aria-hidden="true" />}
          {ready && shop.walking && !locked && <p class="paused walk-hint">{TOUCH ? "Drag to look around" : "Click to look around with the mouse"}</p>}
        </div>
        <Legend shop={shop} locked={locked} />
      </div>
      {ready && <Panel opened={opened} save={save} />}
    </main>
  );
}

/** Asks before a link, or the tab's end, takes edits away that were not saved. Returns the undoing. */
function warnOfLoss(shop: Workshop): () => void {
  const stop = new AbortController();
  addEventListener("beforeunload", (e) => shop.unsaved.value && e.preventDefault(), { signal: stop.signal });
  const ask = (e: MouseEvent): void => {
    const link = e.target instanceof Element ? e.target.closest("a") : null;
    if (link && shop.unsaved.value && !confirm("Leave without saving this world?")) e.preventDefault();
  };
  document.addEventListener("click", ask, { capture: true, signal: stop.signal });
  return () => stop.abort();
}

function usePointerLock(canvas: { current: HTMLCanvasElement | null }): boolean {
  const [locked, setLocked] = useState(false);
  useEffect(() => {
    const look = (): void => setLocked(document.pointerLockElement === canvas.current);
    document.addEventListener("pointerlockchange", look);
    return () => document.removeEventListener("pointerlockchange", look);
  }, []);
  return locked;
}

export interface WorldProbe {
  readonly blocks: number;
  readonly position: Cell;
  readonly unsaved: boolean;
  readonly place: Cell | null;
  locate: (cell: Cell) => [number, number];
}

declare global {
  interface Window {
    __world?: WorldProbe;
  }
}

/** A read-only view of the world for tests and the console. */
function expose(shop: Workshop): void {
  Object.defineProperty(window, "__world", {
    configurable: true,
    get: (): WorldProbe =>
      Object.freeze({
        blocks: shop.blocks.value,
        position: shop.position,
        unsaved: shop.unsaved.value,
        place: shop.place.value,
        locate: (cell: Cell) => shop.locate(cell),
      }),
  });
}
