// The same captions and noise, drawn by the base and by the aligned generator; all worlds turn together.

import { useEffect, useState } from "preact/hooks";
import { artifactUrl } from "../api";

const VIEWS = 12; // of a sheet's turn (worlds/generators/pareto.py)
const TURN_MS = 180; // a view
const ZOOM = 1.25; // there is much sky around a world, most of it above

interface Props {
  prompts: string[];
  before: string; // artifacts
  after: string | null; // null: not measured yet, or removed since
  step: number; // of `after`
}

export function Turntables({ prompts, before, after, step }: Props) {
  const [view, setView] = useState(0);
  const [turns, setTurns] = useState(() => !matchMedia("(prefers-reduced-motion: reduce)").matches);
  useEffect(() => {
    if (!turns) return;
    const timer = setInterval(() => setView((now) => (now + 1) % VIEWS), TURN_MS);
    return () => clearInterval(timer);
  }, [turns]);
  return (
    <section class="curves" aria-labelledby="before-after">
      <div class="curves-bar">
        <h2 id="before-after">Before and after</h2>
        <label class="steps">
          <span class="quiet">Turn</span>
          <input
            type="range"
            min={0}
            max={VIEWS - 1}
            value={view}
            onInput={(e) => {
              setTurns(false);
              setView(e.currentTarget.valueAsNumber);
            }}
          />
        </label>
        <button type="button" class="small" aria-pressed={turns} onClick={() => setTurns(!turns)}>
          {turns ? "Pause" : "Turn by itself"}
        </button>
      </div>
      <p class="quiet">The same captions and the same noise: above by the base, {step === 0 ? "below as soon as one is measured" : `below by step ${step}${after ? "" : ", whose pictures are not kept"}`}.</p>
      <div class="turntables">
        {prompts.map((prompt, row) => (
          <figure key={prompt}>
            <Picture sheet={before} row={row} of={prompts.length} view={view} name={`${prompt}, by the base`} />
            {after ? (
              <Picture sheet={after} row={row} of={prompts.length} view={view} name={`${prompt}, by step ${step}`} />
            ) : (
              <span class="turntable" />
            )}
            <figcaption>{prompt}</figcaption>
          </figure>
        ))}
      </div>
    </section>
  );
}

/** background-position that shows cell `i` of `count`, `cut` being how much of the margin is cut off before it. */
const place = (i: number, count: number, cut: number): number => (100 * (i * ZOOM + (ZOOM - 1) * cut)) / (count * ZOOM - 1);

interface PictureProps {
  sheet: string;
  row: number;
  of: number; // rows
  view: number;
  name: string;
}

/** One view of one world on a sheet. */
function Picture({ sheet, row, of, view, name }: PictureProps) {
  return (
    <span
      class="turntable"
      role="img"
      aria-label={name}
      data-sheet={sheet}
      style={{
        backgroundImage: `url(${artifactUrl(sheet)})`,
        backgroundSize: `${VIEWS * ZOOM * 100}% ${of * ZOOM * 100}%`,
        backgroundPosition: `${place(view, VIEWS, 0.5)}% ${place(row, of, 0.9)}%`,
      }}
    />
  );
}
