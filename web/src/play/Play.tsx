import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ordinal } from "../format";
import { go, query } from "../router";
import { Keys } from "./Keys";
import { listen } from "./keyboard";
import { Overlay, Strata } from "./Overlay";
import { Panel } from "./Panel";
import { anySeed, parseSeed } from "./seed";
import { Session } from "./session";

const GAP_PX = 20;
const TOUCH = matchMedia("(pointer: coarse)").matches;

export function Play() {
  const [session] = useState(
    () => new Session(query.value.get("checkpoint") ?? "shipped", seedAsked() ?? anySeed(), query.value.get("world")),
  );
  const [numbers, setNumbers] = useState(true);
  const canvas = useRef<HTMLCanvasElement>(null);
  const both = Boolean(session.settings.value.simulator && session.hello.value?.has_simulator);

  useEffect(() => {
    document.title = "Terrarium";
    expose(session);
    if (session.world) session.set({ simulator: true }); // the world as it is, beside what the model makes of it
    void session.open();
    const silence = listen(session, canvas.current!, {
      KeyR: () => session.reset(),
      KeyP: () => session.set({ paused: !session.settings.value.paused }),
      KeyT: () => session.hello.value?.has_simulator && session.set({ simulator: !session.settings.value.simulator }),
      KeyK: () => session.set({ record: !session.settings.value.record }),
      KeyO: () => setNumbers((on) => !on),
    });
    return () => {
      silence();
      session.end();
      delete window.__terrarium;
    };
  }, []);

  // The address names the checkpoint in play: a link can be shared, and the browser's back works.
  const asked = query.value.get("checkpoint") ?? "shipped";
  const playing = session.hello.value?.checkpoint;
  useEffect(() => {
    if (session.checkpoint !== asked) session.set({ checkpoint: asked });
  }, [asked]);
  useEffect(() => {
    if (playing && playing !== asked) go(address(playing, session.world), true);
  }, [playing]);

  return (
    <main class="play">
      <h1 class="unseen">Play</h1>
      <div class="stage">
        <Pictures session={session} canvas={canvas} both={both} numbers={numbers} />
        <Keys session={session} />
      </div>
      <Panel session={session} numbers={numbers} setNumbers={setNumbers} focusPicture={() => canvas.current?.focus()} />
    </main>
  );
}

/** Of play with a checkpoint, in a block world if one is named. */
function address(checkpoint: string, world: string | null): string {
  const named = new URLSearchParams({ ...(checkpoint !== "shipped" && { checkpoint }), ...(world && { world }) });
  return named.size ? `/?${named}` : "/";
}

/** `/?seed=7` opens that world. */
const seedAsked = (): number | null => parseSeed(query.value.get("seed") ?? "");

interface PicturesProps {
  session: Session;
  canvas: { current: HTMLCanvasElement | null };
  both: boolean;
  numbers: boolean;
}

function Pictures({ session, canvas, both, numbers }: PicturesProps) {
  const room = useRef<HTMLDivElement>(null);
  const hello = session.hello.value;
  const size = useFit(room, hello?.width ?? 64, hello?.height ?? 64, both ? 2 : 1);
  const camera = hello?.has_camera ?? true;
  const locked = usePointerLock(canvas);
  const fps = session.settings.value.fps ?? 30;
  const ready = session.drawing.value;
  return (
    <div class="pictures" ref={room}>
      <figure class="vessel">
        <canvas class="light" width={32} height={32} aria-hidden="true" ref={(el) => void (session.screen.light = el)} />
        <div class="glass">
          <canvas
            id="model"
            tabIndex={0}
            role="img"
            aria-label={`The world as the neural network draws it. ${camera ? "W, A, S, D walk; arrow keys turn." : "Play it with the keys below."}`}
            style={size}
            data-locked={locked}
            ref={(el) => void (session.screen.model = canvas.current = el)}
          />
          {numbers && <Overlay session={session} />}
          <Notice session={session} />
          {ready && session.settings.value.paused && <p class="paused">Paused</p>}
        </div>
        <Strata hud={session.hud.value} fps={fps} />
        <figcaption>
          <b>neural network</b>
          {camera && <span>{locked ? "Esc lets the mouse go" : TOUCH ? "drag the picture to look" : "click to look with the mouse"}</span>}
        </figcaption>
      </figure>
      {both && (
        <figure class="vessel">
          <div class="glass" data-empty={!session.simulatorDrawn.value}>
            <canvas
              id="simulator"
              role="img"
              aria-label="The same actions in the simulator"
              style={size}
              ref={(el) => void (session.screen.simulator = el)}
            />
          </div>
          <div class="strata" aria-hidden="true" />
          <figcaption>
            <b>simulator</b>
            <span>the same actions, exact</span>
          </figcaption>
        </figure>
      )}
    </div>
  );
}

function InLine({ position }: { position: number }) {
  return (
    <div class="notice" role="status" data-place={position}>
      <p>All places are taken. You are {ordinal(position)} in line.</p>
      <p class="quiet">Play begins by itself as soon as a place is free.</p>
    </div>
  );
}

/** What stands between the person and the world, and what to do about it. */
function Notice({ session }: { session: Session }) {
  const status = session.status.value;
  const trouble = session.trouble.value;
  if (status === "live" && !trouble) return session.drawing.value ? null : <p class="notice">Growing a world…</p>;
  const nothingShipped = trouble?.code === "checkpoint_not_found" && session.checkpoint === "shipped";
  if (session.place.value !== null) return <InLine position={session.place.value} />;
  if (status === "connecting" && !trouble) return <p class="notice">Opening the terrarium…</p>;
  return (
    <div class="notice" role="alert" data-code={trouble?.code}>
      <p>{nothingShipped ? "No world model came with this installation." : (trouble?.message ?? "The connection was lost.")}</p>
      {(status === "waiting" || status === "connecting") && <p class="quiet">Trying again…</p>}
      {status === "ended" && (
        <p class="row">
          {nothingShipped ? (
            <a class="button primary" href="/jobs">
              Train a world
            </a>
          ) : (
            <button type="button" class="primary" onClick={() => void session.open()}>
              Play again
            </button>
          )}
          {session.checkpoint !== "shipped" && (
            <button type="button" onClick={() => session.set({ checkpoint: "shipped" })}>
              Play the shipped world
            </button>
          )}
        </p>
      )}
      {status === "live" && (
        <button type="button" onClick={() => (session.trouble.value = null)}>
          Dismiss
        </button>
      )}
    </div>
  );
}

/** The largest size at which `n` pictures fit side by side and every pixel of theirs covers whole device pixels. */
function useFit(room: { current: HTMLElement | null }, width: number, height: number, n: number) {
  const [size, setSize] = useState({ width: "0px", height: "0px" });
  useLayoutEffect(() => {
    const el = room.current!;
    const fit = (): void => {
      const dpr = devicePixelRatio || 1;
      const wide = (el.clientWidth - GAP_PX * (n - 1)) / n;
      const scale = Math.max(1, Math.floor(dpr * Math.min(wide / width, roomHeight(el) / height)));
      setSize({ width: `${(scale * width) / dpr}px`, height: `${(scale * height) / dpr}px` });
    };
    const observer = new ResizeObserver(fit);
    observer.observe(el);
    return () => observer.disconnect();
  }, [width, height, n]);
  return size;
}

const NARROW = matchMedia("(max-width: 860px)"); // as in play.css: there the page scrolls, and the panel lies below
const CAPTION_PX = 46; // strata and caption under a picture

const roomHeight = (el: HTMLElement): number => (NARROW.matches ? 0.7 * innerHeight : el.clientHeight - CAPTION_PX);

function usePointerLock(canvas: { current: HTMLCanvasElement | null }): boolean {
  const [locked, setLocked] = useState(false);
  useEffect(() => {
    const look = (): void => setLocked(document.pointerLockElement === canvas.current);
    document.addEventListener("pointerlockchange", look);
    return () => document.removeEventListener("pointerlockchange", look);
  }, []);
  return locked;
}

export interface Probe {
  readonly status: string;
  readonly place: number | null; // in line
  readonly checkpoint: string;
  readonly seed: number | null;
  readonly frames: number;
  readonly simFrames: number;
  readonly lastSeq: number;
  readonly lastActionSeq: number;
  readonly fps: number;
  readonly latency: { p50_ms: number | null; p99_ms: number | null; samples: number };
  readonly held: string[];
}

declare global {
  interface Window {
    __terrarium?: Probe;
  }
}

/** A read-only view of the session for tests and the console. */
function expose(session: Session): void {
  Object.defineProperty(window, "__terrarium", {
    configurable: true,
    get: (): Probe =>
      Object.freeze({
        status: session.status.value,
        place: session.place.value,
        checkpoint: session.checkpoint,
        seed: session.seed.value,
        frames: session.frames,
        simFrames: session.simFrames,
        lastSeq: session.newest?.seq ?? 0,
        lastActionSeq: session.newest?.action_seq ?? 0,
        fps: session.rate.perSecond(performance.now()),
        latency: {
          p50_ms: session.latency.percentile(0.5),
          p99_ms: session.latency.percentile(0.99),
          samples: session.latency.count,
        },
        held: [...session.held.value],
      }),
  });
}
