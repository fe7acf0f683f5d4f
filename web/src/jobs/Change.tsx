// Changing a job that has not started: its priority, and its config as JSON until it has run once.

import { useState } from "preact/hooks";
import { changeJob, Problem, type Job } from "../api";
import { PRIORITIES } from "./place";

interface Props {
  job: Job;
  changed: (job: Job) => void;
}

export function Change({ job, changed }: Props) {
  const [text, setText] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  if (job.state !== "queued" && job.state !== "waiting") return null;
  const save = async (change: () => Parameters<typeof changeJob>[1]): Promise<void> => {
    try {
      setProblem(null);
      changed(await changeJob(job.id, change()));
      setText(null);
    } catch (error) {
      setProblem(error instanceof Problem || error instanceof SyntaxError ? error.message : String(error));
    }
  };
  const levels = PRIORITIES.some(([value]) => value === job.priority)
    ? PRIORITIES
    : [...PRIORITIES, [job.priority, String(job.priority)] as [number, string]];
  return (
    <section class="card change" aria-label="Change this job before it starts">
      <label class="field">
        <span>Priority</span>
        <select
          name="priority"
          onChange={(e) => {
            const priority = Number(e.currentTarget.value);
            void save(() => ({ priority }));
          }}
        >
          {levels.map(([value, name]) => (
            <option key={value} value={value} selected={value === job.priority}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {!job.plan_id && job.started_at === null && (
        <details onToggle={(e) => setText(e.currentTarget.open ? JSON.stringify(job.config, null, 1) : null)}>
          <summary>Edit its config</summary>
          {text !== null && (
            <>
              <label class="field">
                <span>Config, as JSON</span>
                <textarea rows={12} value={text} onInput={(e) => setText(e.currentTarget.value)} />
              </label>
              <button type="button" onClick={() => void save(() => ({ config: JSON.parse(text) as Job["config"] }))}>
                Save
              </button>
            </>
          )}
        </details>
      )}
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
