import { useEffect } from "preact/hooks";
import { listCheckpoints, listDatasets, type Dataset } from "../api";
import { ago } from "../format";
import { usePoll } from "../poll";
import { datasetFacts } from "./manifest";
import { Plays } from "./Plays";

export function Datasets() {
  const { value, error } = usePoll(listDatasets, 5000);
  const tokenizers = usePoll(listCheckpoints, 10_000).value?.filter((c) => c.kind === "tokenizer") ?? [];
  const next = tokenizers.length ? "world-model.train" : "tokenizer.train";
  useEffect(() => {
    document.title = "Datasets · Terrarium";
  }, []);
  return (
    <main class="page">
      <h1>Datasets</h1>
      <p class="lead">Recorded walks and games: frames, and the actions between them.</p>
      {error && (
        <p class="error" role="alert">
          {error.message}
        </p>
      )}
      {value && !value.length && (
        <p class="card empty">
          No dataset yet. <a href="/jobs?kind=dataset.record">Record one</a>.
        </p>
      )}
      <ul class="tiles">
        {value?.map((d) => (
          <Tile key={d.id} dataset={d} next={next} />
        ))}
      </ul>
      <Plays />
    </main>
  );
}

function Tile({ dataset: d, next }: { dataset: Dataset; next: string }) {
  return (
    <li class="card" data-id={d.id}>
      <h2>
        <a href={`/jobs/${d.id}`}>{d.name}</a>
      </h2>
      <p class="quiet">{ago(d.created_at)}</p>
      <dl class="facts">
        {datasetFacts(d.manifest).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <a class="button" href={`/jobs?kind=${next}&data=${d.id}`}>
        Train on this
      </a>
    </li>
  );
}
