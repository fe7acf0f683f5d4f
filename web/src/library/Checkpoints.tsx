import { useEffect, useState } from "preact/hooks";
import { listCheckpoints, type Checkpoint } from "../api";
import { ago } from "../format";
import { usePoll } from "../poll";
import { EvaluationTables } from "./EvaluationTables";
import { retrieval } from "./evaluation";
import { checkpointSummary } from "./manifest";
import { Meter } from "./Meter";

export function Checkpoints() {
  const { value, error } = usePoll(listCheckpoints, 3000);
  const [shown, show] = useState<string | null>(null);
  useEffect(() => {
    document.title = "Checkpoints · Terrarium";
  }, []);
  return (
    <main class="page">
      <h1>Checkpoints</h1>
      <p class="lead">
        Trained weights. Control is counterfactual retrieval: how often the model's answer to a key is nearest to the
        simulator's answer to the same key. The tick on each bar marks a guess.
      </p>
      {error && (
        <p class="error" role="alert">
          {error.message}
        </p>
      )}
      {value && !value.length && (
        <p class="card empty">
          No checkpoint yet. <a href="/jobs?kind=world-model.train">Train a world model</a>.
        </p>
      )}
      {value && value.length > 0 && (
        <div class="card scroll">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Kind</th>
                <th scope="col">Created</th>
                <th scope="col">Control @1</th>
                <th scope="col">Control @4</th>
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {value.map((c) => (
                <Row key={c.id} checkpoint={c} shown={shown === c.id} toggle={() => show(shown === c.id ? null : c.id)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {value?.map((c) => c.id === shown && <Figures key={c.id} checkpoint={c} />)}
    </main>
  );
}

function Figures({ checkpoint: c }: { checkpoint: Checkpoint }) {
  return (
    <section id="figures">
      <h2>Evaluation of {c.name}</h2>
      <EvaluationTables evaluation={c.evaluation} />
    </section>
  );
}

function Row({ checkpoint: c, shown, toggle }: { checkpoint: Checkpoint; shown: boolean; toggle: () => void }) {
  const scores = retrieval(c.evaluation);
  const cell = (k: number) => {
    const found = scores?.at.find((s) => s.k === k);
    if (scores && found) return <Meter value={found.mean} chance={scores.chance} label={`Control at ${k}`} />;
    return <span class="quiet">{c.kind === "world-model" ? "not measured" : "–"}</span>;
  };
  const blank = c.kind === "world-model" ? "" : "none";
  return (
    <tr data-id={c.id}>
      <th scope="row">
        {c.id === "shipped" ? c.name : <a href={`/jobs/${c.id}`}>{c.name}</a>}
        <span class="quiet under">{checkpointSummary(c.manifest)}</span>
      </th>
      <td class="kind">{c.kind}</td>
      <td class="made">{c.id === "shipped" ? "with Terrarium" : ago(c.created_at)}</td>
      <td data-label="Control @1" class={blank}>{cell(1)}</td>
      <td data-label="Control @4" class={blank}>{cell(4)}</td>
      <td class="actions">
        {c.kind === "world-model" && (
          <>
            {scores && (
              <button type="button" aria-expanded={shown} onClick={toggle}>
                Figures
              </button>
            )}
            {"world-model.evaluate" in c.uses && (
              <a class="button" href={`/jobs?kind=world-model.evaluate&checkpoint=${c.id}`}>
                Evaluate
              </a>
            )}
            <a class="button primary" href={c.id === "shipped" ? "/" : `/?checkpoint=${c.id}`}>
              Play
            </a>
          </>
        )}
        {c.kind === "tokenizer" && (
          <a class="button" href={`/jobs?kind=world-model.train&tokenizer=${c.id}`}>
            Train a world model
          </a>
        )}
      </td>
    </tr>
  );
}
