// The lines before the workers: what runs, how many wait, pause and resume; and the workers themselves.

import { cancelQueued, listWorkers, pauseQueue, resumeQueue, type Queue, type Worker } from "../api";
import { useAttempt } from "../attempt";
import { bytes } from "../format";
import { usePoll } from "../poll";

export function Queues({ queues, changed }: { queues: Queue[]; changed: () => void }) {
  const workers = usePoll(listWorkers, 5000).value;
  const { attempt, problem } = useAttempt(changed);
  return (
    <section class="card queues" aria-labelledby="queues-title">
      <h2 id="queues-title">Queues</h2>
      <ul>
        {queues.map((queue) => (
          <li key={queue.name} data-queue={queue.name} data-paused={queue.paused_at !== null}>
            <b>{queue.name}</b>
            <span class="quiet">{lengthOf(queue)}</span>
            <span class="actions">
              {queue.queued > 0 && (
                <button
                  type="button"
                  onClick={attempt(async () => confirm(`Cancel ${queue.queued} queued jobs?`) && cancelQueued(queue.name))}
                >
                  Cancel queued
                </button>
              )}
              <button type="button" onClick={attempt(() => (queue.paused_at ? resumeQueue : pauseQueue)(queue.name))}>
                {queue.paused_at ? "Resume" : "Pause"}
              </button>
            </span>
          </li>
        ))}
      </ul>
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
      {workers && (workers.length ? workers.map((w) => <WorkerLine key={w.name} worker={w} />) : <p class="error">No worker runs: nothing starts.</p>)}
    </section>
  );
}

function lengthOf({ paused_at, queued, running }: Queue): string {
  const counts = [running.length && `${running.length} running`, queued && `${queued} queued`].filter(Boolean);
  return [paused_at && "paused", counts.join(", ") || "empty"].filter(Boolean).join(" · ");
}

function WorkerLine({ worker }: { worker: Worker }) {
  const facts = [
    worker.queues.join(", "),
    worker.processes > 1 && `${worker.processes} processes`,
    worker.memory_bytes !== null && `${bytes(worker.memory_bytes)} of memory`,
    worker.disk_free_bytes !== null && `${bytes(worker.disk_free_bytes)} free on its disk`,
  ];
  return (
    <p class="worker quiet" data-alive={worker.alive}>
      Worker on {worker.host}
      {!worker.alive && <b class="error"> that does not answer</b>}
      {worker.job ? (
        <>
          {" runs "}
          <a href={`/jobs/${worker.job.id}`}>{worker.job.name}</a>
        </>
      ) : (
        worker.alive && " is free"
      )}
      {` · ${facts.filter(Boolean).join(" · ")}`}
    </p>
  );
}
