// A job's curves, beside those of other jobs of its kind.

import { useEffect, useState } from "preact/hooks";
import { getMetrics, listJobs, type Job } from "../api";
import { ago } from "../format";
import { usePoll } from "../poll";
import { Chart, COLOURS } from "./Chart";
import { csv, groups, linesOf, type Axis, type Run } from "./curves";

const MOST = COLOURS.length - 1; // other runs at once
const MOST_SMOOTHING = 0.98;

export function Curves({ job, own }: { job: Job; own: Run }) {
  const [axis, setAxis] = useState<Axis>("step");
  const [smoothing, setSmoothing] = useState(0);
  const [others, setOthers] = useState<Run[]>([]);
  const runs = [own, ...others];
  const keys = runs.flatMap((run) => Object.keys(run.series));
  if (!Object.keys(own.series).length) return null;
  return (
    <section class="curves" aria-labelledby="curves">
      <div class="curves-bar">
        <h2 id="curves">Curves</h2>
        <div class="switch-group" role="group" aria-label="Horizontal axis">
          {(["step", "time"] as const).map((a) => (
            <button key={a} type="button" class="small" aria-pressed={a === axis} onClick={() => setAxis(a)}>
              {a}
            </button>
          ))}
        </div>
        <label class="smoothing">
          <span class="quiet">Smoothing</span>
          <input
            type="range"
            min={0}
            max={MOST_SMOOTHING}
            step={0.01}
            value={smoothing}
            onInput={(e) => setSmoothing(Number(e.currentTarget.value))}
          />
        </label>
        <button type="button" class="small" onClick={() => download(`${job.kind}-${job.id.slice(0, 8)}.csv`, csv(runs))}>
          CSV
        </button>
      </div>
      <Compare job={job} others={others} set={setOthers} />
      <div class="charts">
        {groups(keys).map(([title, of]) => (
          <Chart
            key={title}
            title={title}
            lines={linesOf(runs, of, axis, smoothing)}
            axis={axis}
            compared={others.length > 0}
          />
        ))}
      </div>
    </section>
  );
}

/** Chooses runs of the same kind to draw over this one. */
function Compare({ job, others, set }: { job: Job; others: Run[]; set: (runs: Run[]) => void }) {
  const found = usePoll(() => listJobs({ kind: job.kind }), 30_000).value ?? [];
  const offered = found.filter((j) => j.id !== job.id && j.started_at && !others.some((o) => o.id === j.id));
  useEffect(() => set([]), [job.id]);
  const add = async (id: string): Promise<void> => {
    const other = found.find((j) => j.id === id);
    if (other) set([...others, runOf(other, await getMetrics(id))]);
  };
  if (!offered.length && !others.length) return null;
  return (
    <div class="compare">
      {others.length > 0 && <Swatch colour={0} name={job.name} />}
      {others.map((run, i) => (
        <Swatch key={run.id} colour={i + 1} name={run.name} href={`/jobs/${run.id}`}>
          <button
            type="button"
            class="small"
            aria-label={`Leave out ${run.name}`}
            onClick={() => set(others.filter((o) => o !== run))}
          >
            ×
          </button>
        </Swatch>
      ))}
      {others.length < MOST && offered.length > 0 && (
        <select aria-label="Compare with" value="" onChange={(e) => void add(e.currentTarget.value)}>
          <option value="">Compare with…</option>
          {offered.map((j) => (
            <option key={j.id} value={j.id}>
              {j.name} ({ago(j.created_at)})
            </option>
          ))}
        </select>
      )}
    </div>
  );
}

interface SwatchProps {
  colour: number;
  name: string;
  href?: string;
  children?: preact.ComponentChildren;
}

function Swatch({ colour, name, href, children }: SwatchProps) {
  return (
    <span class="swatch">
      <i style={{ background: `var(${COLOURS[colour]})` }} />
      {href ? <a href={href}>{name}</a> : name}
      {children}
    </span>
  );
}

export const runOf = (job: Job, { series, times }: Awaited<ReturnType<typeof getMetrics>>): Run => ({
  id: job.id,
  name: job.name,
  series,
  times: new Map(times),
});

function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
