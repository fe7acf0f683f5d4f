// One live session: ticket, socket, inputs out, frames in, reconnect. The page reads its signals.

import { signal } from "@preact/signals";
import { openPlay, Problem } from "../api";
import { InputState, readGamepad } from "./input";
import { Latency, Rate } from "./latency";
import * as wire from "./protocol";
import { Screen } from "./screen";

const HEARTBEAT_MS = 100;
const HUD_MS = 250;
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000];
const ECHO_MS = 500; // a setting just changed here is not set back by the answer to an earlier change
const STEADY_MS = 5000; // a socket that lived this long starts the backoff afresh

// Closes that trying again does not mend (store/play_protocol.py), and what to say when no error came before.
const FINAL_CLOSES: Record<number, string> = {
  1008: "The player refused this session.",
  1009: "The player refused a message that was too large.",
  4404: "There is no such checkpoint.",
  4408: "Nobody pressed a key for a while, so the session was closed.",
  4409: "The session has lasted as long as one may here.",
};

export type Status = "connecting" | "live" | "waiting" | "ended";

export interface Trouble {
  code: string;
  message: string;
}

export interface Hud {
  fps: number;
  p50_ms: number | null;
  p99_ms: number | null;
  model_ms: number;
  encode_ms: number;
  queue_ms: number;
  dropped: number;
  players: number;
}

export class Session {
  readonly status = signal<Status>("connecting");
  readonly trouble = signal<Trouble | null>(null);
  readonly hello = signal<wire.Hello | null>(null);
  readonly settings = signal<wire.Settings>({ temperature: 1, guidance: 1, fps: 30, paused: false, simulator: false });
  readonly seed = signal<number | null>(null);
  readonly hud = signal<Hud | null>(null);
  readonly held = signal<ReadonlySet<string>>(new Set()); // codes, for the legend
  readonly choosing = signal<string | null>(null); // a checkpoint asked for, not yet in force
  readonly place = signal<number | null>(null); // in line, while all places are taken
  readonly drawing = signal(false); // a frame is on the canvas
  readonly simulatorDrawn = signal(false);

  readonly input = new InputState();
  readonly screen = new Screen(
    (frame) => this.drawn(frame),
    () => this.complain("bad_picture", "A frame could not be decoded."),
  );

  // What `window.__terrarium` shows.
  frames = 0;
  simFrames = 0;
  newest: wire.Frame | null = null;
  private recent: wire.Frame[] = []; // since the numbers were last refreshed
  readonly latency = new Latency();
  readonly rate = new Rate();

  private socket: WebSocket | null = null;
  private seq = 0;
  private ack = 0; // seq of the newest frame drawn
  private sentKeys = 0;
  private sent_ms = 0;
  private opened_ms = 0;
  private attempt = 0;
  private retry = 0;
  private generation = 0; // grows with every open and close: answers of older ones are ignored
  private set_ms = -Infinity; // when the person last changed a setting
  private wanted: wire.Settings = {}; // what the person chose; sent again after a reconnect
  private readonly timers = [
    setInterval(() => this.heartbeat(), HEARTBEAT_MS / 2),
    setInterval(() => this.refreshHud(), HUD_MS),
  ];

  constructor(
    public checkpoint: string,
    private readonly firstSeed: number,
    readonly world: string | null = null, // a block world to play in; null: those of the model
  ) {}

  // Connection

  async open(): Promise<void> {
    this.hangUp();
    const generation = this.generation;
    this.status.value = "connecting";
    try {
      const { url, ticket } = await openPlay(this.checkpoint, this.seed.value ?? this.firstSeed, this.world);
      if (generation !== this.generation) return;
      const socket = new WebSocket(new URL(url, location.href.replace(/^http/, "ws")), [wire.SUBPROTOCOL, ticket]);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.opened_ms = performance.now();
      };
      socket.onmessage = ({ data }) => {
        if (typeof data === "string") this.text(JSON.parse(data) as wire.ServerText);
        else this.frame(data as ArrayBuffer);
      };
      socket.onclose = ({ code, reason }) => {
        if (generation === this.generation) this.closed(code, reason);
      };
      this.socket = socket;
    } catch (error) {
      if (generation !== this.generation) return;
      if (!(error instanceof Problem)) throw error;
      this.complain(error.code, error.message);
      const final = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (final) this.status.value = "ended";
      else this.later();
    }
  }

  /** Leaves the page: no reconnect after this. */
  end(): void {
    this.hangUp();
    this.timers.forEach(clearInterval);
  }

  private hangUp(): void {
    this.generation += 1;
    this.place.value = null;
    clearTimeout(this.retry);
    this.socket?.close();
    this.socket = null;
    this.latency.forget();
    this.seq = this.ack = this.sentKeys = 0;
    this.newest = null;
  }

  private closed(code: number, reason: string): void {
    this.socket = null;
    this.place.value = null;
    const text = FINAL_CLOSES[code];
    if (text) {
      this.trouble.value ??= { code: String(code), message: reason || text };
      this.status.value = "ended";
      return;
    }
    this.trouble.value ??= { code: "closed", message: "The connection to the player was lost." };
    if (this.opened_ms && performance.now() - this.opened_ms > STEADY_MS) this.attempt = 0;
    this.later();
  }

  private later(): void {
    this.status.value = "waiting";
    const wait_ms = BACKOFF_MS[Math.min(this.attempt++, BACKOFF_MS.length - 1)]!;
    this.retry = window.setTimeout(() => void this.open(), wait_ms);
  }

  private complain(code: string, message: string): void {
    this.trouble.value = { code, message };
  }

  // From the player

  private text(message: wire.ServerText): void {
    switch (message.type) {
      case "hello":
        this.hello.value = message;
        this.place.value = null;
        this.checkpoint = message.checkpoint;
        this.choosing.value = null;
        this.seed.value = message.seed;
        this.settings.value = {
          ...this.settings.value,
          temperature: message.temperature,
          fps: this.wanted.fps ?? message.fps,
        };
        this.configureInput();
        if (this.status.value !== "live") {
          this.status.value = "live";
          this.trouble.value = null;
          if (Object.keys(this.wanted).length) this.send({ type: "settings", ...this.wanted });
        }
        this.sendInput();
        break;
      case "settings": {
        const { type: _, ...values } = message;
        const mine = performance.now() - this.set_ms < ECHO_MS ? this.wanted : {};
        this.settings.value = { ...this.settings.value, ...values, ...mine };
        if (values.simulator === false) this.simulatorDrawn.value = false;
        this.configureInput();
        break;
      }
      case "reset":
        this.seed.value = message.seed;
        break;
      case "queue":
        this.place.value = message.position;
        this.trouble.value = null;
        break;
      case "error":
        this.complain(message.code, message.message);
        if (this.hello.value && this.choosing.value) this.checkpoint = this.hello.value.checkpoint;
        this.choosing.value = null;
        break;
    }
  }

  private frame(data: ArrayBuffer): void {
    const frame = wire.unpackFrame(data);
    this.newest = frame;
    this.recent.push(frame);
    this.screen.show(frame);
  }

  private drawn(frame: wire.Frame): void {
    if (!this.newest) return; // of a connection that is gone
    const now = performance.now();
    this.ack = frame.seq;
    this.frames += 1;
    if (frame.sim_jpeg.length) {
      this.simFrames += 1;
      this.simulatorDrawn.value = true;
    }
    this.drawing.value = true;
    this.rate.tick(now);
    this.latency.drawn(frame.action_seq, now);
    this.sendInput(); // carries the ack
  }

  // To the player

  press(code: string): void {
    if (this.input.press(code, performance.now())) this.changed();
  }

  release(code: string): void {
    if (this.input.release(code)) this.changed();
  }

  releaseAll(): void {
    if (this.input.releaseAll()) this.changed();
  }

  look(dx_px: number, dy_px: number): void {
    this.input.look(dx_px, dy_px);
    const tick_ms = 1000 / (this.settings.value.fps ?? 30);
    if (performance.now() - this.sent_ms > tick_ms) this.sendInput(); // else the next frame's ack takes it along
  }

  reset(seed?: number): void {
    this.send(seed === undefined ? { type: "reset" } : { type: "reset", seed });
  }

  set(change: wire.Settings): void {
    const { checkpoint, ...rest } = change;
    this.wanted = { ...this.wanted, ...rest };
    this.set_ms = performance.now();
    this.settings.value = { ...this.settings.value, ...rest };
    if (checkpoint) this.checkpoint = this.choosing.value = checkpoint;
    this.trouble.value = null;
    if (this.status.value === "live") this.send({ type: "settings", ...change });
    else if (checkpoint) void this.open();
  }

  private changed(): void {
    this.held.value = new Set([...this.input.held, ...this.input.pad]);
    this.sendInput();
  }

  private heartbeat(): void {
    const pad = navigator.getGamepads?.().find((p) => p?.connected);
    if (pad && readGamepad(this.input, pad)) this.changed();
    if (performance.now() - this.sent_ms >= HEARTBEAT_MS) this.sendInput();
  }

  private sendInput(): void {
    if (this.socket?.readyState !== WebSocket.OPEN || this.status.value !== "live") return;
    const now = performance.now();
    const keys = this.input.mask;
    const [yaw_deg, pitch_deg] = this.input.takeTurn(now);
    this.seq += 1;
    this.socket.send(
      wire.packInput({ keys, yaw_deg, pitch_deg, seq: this.seq, ack: this.ack, client_ms: now }),
    );
    if (keys !== this.sentKeys) this.latency.sent(this.seq, now);
    this.sentKeys = keys;
    this.sent_ms = now;
  }

  private send(text: wire.ClientText): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(text));
  }

  private configureInput(): void {
    const hello = this.hello.value;
    if (hello) this.input.configure(hello, this.settings.value.fps ?? hello.fps);
  }

  private refreshHud(): void {
    const frame = this.newest;
    if (!frame) return;
    const recent = this.recent.length ? this.recent : [frame];
    const mean = (of: (f: wire.Frame) => number): number => recent.reduce((sum, f) => sum + of(f), 0) / recent.length;
    this.recent = [];
    this.hud.value = {
      fps: this.rate.perSecond(performance.now()),
      p50_ms: this.latency.percentile(0.5),
      p99_ms: this.latency.percentile(0.99),
      model_ms: mean((f) => f.model_ms),
      encode_ms: mean((f) => f.encode_ms),
      queue_ms: mean((f) => f.queue_ms),
      dropped: frame.dropped + this.screen.skipped,
      players: frame.players,
    };
  }
}
