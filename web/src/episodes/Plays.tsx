// Recorded play: looked at, chosen for a dataset, deleted.

import { useState } from "preact/hooks";
import { deletePlay, listCheckpoints, listPlays, playPicture, Problem, type RecordedPlay } from "../api";
import { ago, bytes, count, duration } from "../format";
import { usePoll } from "../poll";
import "./episodes.css";

export function Plays() {
  const { value, error, refresh } = usePoll(listPlays, 5000);
  const names = new Map((usePoll(listCheckpoints, 10_000).value ?? []).map((c) => [c.id, c.name]));
  const [checkpoint, setCheckpoint] = useState("");
  const [world, setWorld] = useState("");
  const [chosen, choose] = useState<ReadonlySet<string>>(new Set());
  const [problem, setProblem] = useState<Problem | null>(null);
  const all = value?.items ?? [];
  const shown = all.filter((p) => (!checkpoint || p.checkpoint === checkpoint) && (!world || p.world === world));
  const picked = shown.filter((p) => chosen.has(p.id));

  const toggle = (id: string): void => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    choose(next);
  };
  const remove = async (): Promise<void> => {
    setProblem(null);
    try {
      for (const play of picked) await deletePlay(play.id);
    } catch (e) {
      setProblem(e instanceof Problem ? e : new Problem(0, "client", String(e)));
    }
    refresh();
  };

  const trouble = problem ?? error;
  return (
    <section class="plays" aria-labelledby="plays-title">
      <h2 id="plays-title">Recorded play</h2>
      {trouble && (
        <p class="error" role="alert">
          {trouble.message}
        </p>
      )}
      {value && !all.length && (
        <p class="card empty">
          <span>
            Nothing recorded yet. In <a href="/">Play</a>, press <kbd>K</kbd> and walk: what you see and press is kept
            here.
          </span>
        </p>
      )}
      {value && all.length > 0 && (
        <>
          <div class="plays-bar">
            <Filter label="World model" value={checkpoint} set={setCheckpoint} of={all.map((p) => p.checkpoint)} names={names} />
            <Filter label="World" value={world} set={setWorld} of={all.map((p) => p.world)} />
            <span class="quiet">
              {bytes(value.size)} of {bytes(value.max_size)}
            </span>
            <span class="actions">
              <button
                type="button"
                onClick={() => choose(new Set(picked.length === shown.length ? [] : shown.map((p) => p.id)))}
              >
                {picked.length === shown.length ? "Choose none" : "Choose all"}
              </button>
              <DeleteButton picked={picked} remove={remove} key={picked.map((p) => p.id).join()} />
              <a
                class="button primary"
                aria-disabled={picked.length === 0}
                href={picked.length ? `/jobs?kind=dataset.import-play&plays=${picked.map((p) => p.id).join(",")}` : undefined}
              >
                Make a dataset{picked.length ? ` of ${picked.length}` : ""}
              </a>
            </span>
          </div>
          <ul class="tiles">
            {shown.map((p) => (
              <Tile key={p.id} play={p} name={names.get(p.checkpoint ?? "")} chosen={chosen.has(p.id)} toggle={() => toggle(p.id)} />
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

interface FilterProps {
  label: string;
  value: string;
  set: (value: string) => void;
  of: (string | null)[];
  names?: Map<string, string>;
}

/** Nothing to choose where there is one value only. */
function Filter({ label, value, set, of, names }: FilterProps) {
  const values = [...new Set(of.filter((x): x is string => x !== null))].sort();
  if (values.length < 2) return null;
  return (
    <label class="field">
      <span>{label}</span>
      <select onChange={(e) => set(e.currentTarget.value)}>
        <option value="">all</option>
        {values.map((x) => (
          <option key={x} value={x} selected={x === value}>
            {names?.get(x) ?? x}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Asks once more: what is deleted cannot be had back. */
function DeleteButton({ picked, remove }: { picked: RecordedPlay[]; remove: () => Promise<void> }) {
  const [sure, setSure] = useState(false);
  const size = bytes(picked.reduce((sum, p) => sum + p.size, 0));
  return (
    <button type="button" disabled={!picked.length} onClick={() => (sure ? void remove() : setSure(true))}>
      {sure ? `Delete ${picked.length} for good (${size})` : "Delete"}
    </button>
  );
}

interface TileProps {
  play: RecordedPlay;
  name: string | undefined;
  chosen: boolean;
  toggle: () => void;
}

function Tile({ play: p, name, chosen, toggle }: TileProps) {
  return (
    <li class="card recording" data-id={p.id} data-chosen={chosen}>
      <label>
        <img src={playPicture(p.id)} alt="" width="96" height="96" loading="lazy" />
        <span class="recording-facts">
          <b>
            <input type="checkbox" checked={chosen} onChange={toggle} />{" "}
            {p.world ? `${p.world}, seed ${p.seed ?? "?"}` : "no simulator beside it"}
          </b>
          <span class="quiet">
            {name ?? p.checkpoint?.slice(0, 8) ?? "unknown model"} · {ago(p.recorded_at)}
          </span>
          <span>
            {count(p.frames)} frames · {duration(p.seconds)} · {bytes(p.size)}
          </span>
          {p.problem && <span class="error">{p.problem}</span>}
        </span>
      </label>
    </li>
  );
}
