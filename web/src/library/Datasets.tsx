import { useEffect } from "preact/hooks";
import { listDatasets, type Dataset } from "../api";
import { ago } from "../format";
import { usePoll } from "../poll";
import { datasetFacts } from "./manifest";
import { Plays } from "./Plays";

export function Datasets() {
  const { value, error } = usePoll(listDatasets, 5000);
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
          <Tile key={d.id} dataset={d} />
        ))}
      </ul>
      <Plays />
    </main>
  );
}

function Tile({ dataset: d }: { dataset: Dataset }) {
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
      {"world-model.train" in d.uses && (
        <a class="button" href={`/jobs?kind=world-model.train&data=${d.id}`}>
          Train on this
        </a>
      )}
    </li>
  );
}
