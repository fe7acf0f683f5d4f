// Everything that can be changed while playing.

import { useRef, useState } from "preact/hooks";
import { getAsset, listCheckpoints, type Checkpoint } from "../api";
import { ago } from "../format";
import { retrieval } from "../world-model/evaluation";
import { checkpointSummary } from "../world-model/manifest";
import { Meter } from "../world-model/Meter";
import { usePoll } from "../poll";
import { anySeed, parseSeed } from "./seed";
import type { Session } from "./session";

const PACES = [10, 15, 20, 30, 60];

interface PanelProps {
  session: Session;
  numbers: boolean;
  setNumbers: (on: boolean) => void;
  focusPicture: () => void;
}

export function Panel({ session, numbers, setNumbers, focusPicture }: PanelProps) {
  const settings = session.settings.value;
  const { temperature = 1, guidance = 1, fps = 30, paused = false, simulator = false, record = false } = settings;
  const pointed = useRef(0);
  const off = session.status.value !== "live";

  // After a click or a drag the keys belong to the game again; those who tab through the panel stay in it.
  const giveBack = (e: Event): void => {
    const field = e.target instanceof Element && e.target.matches("input[type=text], select, summary");
    if (!field && performance.now() - pointed.current < 1000) setTimeout(focusPicture);
  };
  const point = (): void => void (pointed.current = performance.now());

  return (
    <aside class="panel" aria-label="Controls" onPointerDown={point} onPointerUp={point} onClick={giveBack} onChange={giveBack}>
      <section>
        <h2>World</h2>
        {session.world && <InWorld id={session.world} />}
        <SeedField session={session} focusPicture={focusPicture} />
        <div class="row">
          <button type="button" disabled={off} onClick={() => session.reset()}>
            Reset <kbd>R</kbd>
          </button>
          <button type="button" disabled={off} aria-pressed={paused} onClick={() => session.set({ paused: !paused })}>
            {paused ? "Resume" : "Pause"} <kbd>P</kbd>
          </button>
        </div>
      </section>

      <section>
        <h2>View</h2>
        {session.hello.value?.has_simulator !== false && (
          <Switch label="Simulator beside" hotkey="T" on={simulator} set={(on) => session.set({ simulator: on })} />
        )}
        <Switch label="Record play" hotkey="K" on={record} set={(on) => session.set({ record: on })} />
        <Switch label="Numbers" hotkey="O" on={numbers} set={setNumbers} />
      </section>

      <section>
        <h2>Feel</h2>
        <Slider name="Temperature" range={[0, 2, 0.05]} value={temperature} off={off} set={(temperature) => session.set({ temperature })} />
        <Slider name="Guidance by keys" range={[1, 4, 0.25]} value={guidance} off={off} set={(guidance) => session.set({ guidance })} />
        <fieldset class="segments" disabled={off}>
          <legend>Frames a second</legend>
          {PACES.map((pace) => (
            <label key={pace}>
              <input type="radio" name="pace" checked={!off && Math.round(fps) === pace} onChange={() => session.set({ fps: pace })} />
              <span>{pace}</span>
            </label>
          ))}
        </fieldset>
      </section>

      <Checkpoints session={session} />
    </aside>
  );
}

interface SliderProps {
  name: string;
  range: [number, number, number]; // least, most, step
  value: number;
  off: boolean;
  set: (value: number) => void;
}

function Slider({ name, range: [min, max, step], value, off, set }: SliderProps) {
  return (
    <label class="slider">
      <span>
        {name} <output>{off ? "–" : value.toFixed(2)}</output>
      </span>
      <input {...{ min, max, step, value }} type="range" disabled={off} onInput={(e) => set(e.currentTarget.valueAsNumber)} />
    </label>
  );
}

function SeedField({ session, focusPicture }: { session: Session; focusPicture: () => void }) {
  const [draft, setDraft] = useState<string | null>(null);
  // An untouched field means any new world; a typed seed means that one.
  const seed = draft === null ? anySeed() : parseSeed(draft);
  const submit = (e: Event): void => {
    e.preventDefault();
    if (seed === null) return;
    session.reset(seed);
    setDraft(null);
    focusPicture();
  };
  return (
    <form class="row seed" onSubmit={submit}>
      <label>
        <span>Seed</span>
        <input
          type="text"
          inputMode="numeric"
          value={draft ?? String(session.seed.value ?? "")}
          aria-invalid={seed === null}
          onInput={(e) => setDraft(e.currentTarget.value)}
          onKeyDown={(e) => e.code === "Escape" && (setDraft(null), focusPicture())}
          onBlur={() => draft?.trim() === "" && setDraft(null)}
        />
      </label>
      <button type="submit" class="primary" disabled={seed === null || session.status.value !== "live"}>
        {draft !== null ? "Go there" : session.world ? "New start" : "New world"}
      </button>
    </form>
  );
}

/** The block world that is played in, and the way out of it. */
function InWorld({ id }: { id: string }) {
  const { value } = usePoll(() => getAsset(id), 60_000, id);
  return (
    <p class="in-world">
      <a href={`/worlds/${id}`}>{value?.name ?? "A block world"}</a>
      <a class="quiet" href="/">
        Leave it
      </a>
    </p>
  );
}

function Switch({ label, hotkey, on, set }: { label: string; hotkey: string; on: boolean; set: (on: boolean) => void }) {
  return (
    <label class="switch">
      <span>
        {label} <kbd>{hotkey}</kbd>
      </span>
      <input type="checkbox" role="switch" checked={on} onChange={(e) => set(e.currentTarget.checked)} />
    </label>
  );
}

function Checkpoints({ session }: { session: Session }) {
  const { value, error } = usePoll(listCheckpoints, 4000);
  const known = useRef<Set<string> | null>(null); // what was there when the page opened
  const models = (value ?? []).filter((c) => c.kind === "world-model");
  if (value && !known.current) known.current = new Set(models.map((c) => c.id));
  const chosen = session.choosing.value ?? session.hello.value?.checkpoint ?? session.checkpoint;
  return (
    <section class="models">
      <h2>Model</h2>
      {error && <p class="quiet">{error.message}</p>}
      {value && !models.length && <p class="quiet">No world model yet.</p>}
      <div role="radiogroup" aria-label="World model">
        {models.map((c) => (
          <Choice
            key={c.id}
            checkpoint={c}
            fresh={!known.current?.has(c.id)}
            chosen={c.id === chosen}
            pending={c.id === session.choosing.value}
            choose={() => session.set({ checkpoint: c.id })}
          />
        ))}
      </div>
    </section>
  );
}

interface ChoiceProps {
  checkpoint: Checkpoint;
  fresh: boolean;
  chosen: boolean;
  pending: boolean;
  choose: () => void;
}

function Choice({ checkpoint: c, fresh, chosen, pending, choose }: ChoiceProps) {
  const scores = retrieval(c.evaluation);
  const first = scores?.at[0];
  const about = [checkpointSummary(c.manifest), c.id === "shipped" ? "" : ago(c.created_at)].filter(Boolean).join(" · ");
  return (
    <label class="choice">
      <input type="radio" name="checkpoint" checked={chosen} onChange={choose} />
      <span class="name">
        <span>{c.name}</span>
        {fresh && <mark>new</mark>}
      </span>
      <span class="quiet">{pending ? "loading…" : about}</span>
      {scores && first && (
        <Meter value={first.mean} chance={scores.chance} label={`Right action told from ${first.k} frame${first.k > 1 ? "s" : ""}`} />
      )}
    </label>
  );
}
