import type { Asset } from "../api";
import type { Room } from "../domains";
import { EvaluationTables } from "./EvaluationTables";
import { retrieval } from "./evaluation";
import { checkpointFacts, checkpointSummary } from "./manifest";
import { Meter } from "./Meter";
import "./world-model.css";

const SHOWN = [1, 4]; // frames after which a row shows control

const checkpoint = {
  summary: (asset: Asset) => checkpointSummary(asset.manifest),
  facts: (asset: Asset) => checkpointFacts(asset.manifest),
};

export const worldModel: Room = {
  assets: {
    "world-model": {
      title: "World model",
      plural: "World models",
      ...checkpoint,
      action: (id) => ({ title: "Play", href: id === "shipped" ? "/" : `/?checkpoint=${id}` }),
      glance: Control,
      page: Figures,
    },
    tokenizer: { title: "Tokenizer", plural: "Tokenizers", ...checkpoint },
  },
  results: { "world-model.evaluate": ({ result }) => <EvaluationTables evaluation={result} /> },
};

/** How often the model's answer to a key is nearest to the simulator's answer to the same key. */
function Control({ asset }: { asset: Asset }) {
  const scores = retrieval(asset.evaluation);
  if (!scores) return <span class="quiet">not evaluated</span>;
  return (
    <span class="control">
      {scores.at
        .filter(({ k }) => SHOWN.includes(k))
        .map(({ k, mean }) => (
          <span key={k}>
            <span class="quiet">Control @{k}</span>
            <Meter value={mean} chance={scores.chance} label={`Control at ${k}`} />
          </span>
        ))}
    </span>
  );
}

function Figures({ asset }: { asset: Asset }) {
  return (
    <section id="figures">
      <h2>Evaluation</h2>
      {asset.evaluation ? (
        <EvaluationTables evaluation={asset.evaluation} />
      ) : (
        <p class="quiet">Not evaluated yet. An evaluation measures whether every key still works after hundreds of frames.</p>
      )}
    </section>
  );
}
