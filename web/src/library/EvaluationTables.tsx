import { figures } from "../format";
import { retrieval, rollouts, type Retrieval, type Rollouts } from "./evaluation";
import { Meter } from "./Meter";

export function EvaluationTables({ evaluation }: { evaluation: Record<string, unknown> | null }) {
  const scores = retrieval(evaluation);
  const rolled = rollouts(evaluation);
  return (
    <>
      {scores && <RetrievalTable scores={scores} />}
      {rolled && <RolloutTable rolled={rolled} />}
    </>
  );
}

/** Per key: how often the model's future is nearest to the simulator's under the same action. */
function RetrievalTable({ scores }: { scores: Retrieval }) {
  const keys = scores.at[0]?.byKey.map(([key]) => key) ?? [];
  return (
    <div class="card evaluation" id="retrieval">
      <table>
        <caption>
          <b>Control.</b> From one state every action is held in the model and in the simulator. How often is the
          simulator's picture of the same action the nearest one? The tick marks a guess,{" "}
          {(100 * scores.chance).toFixed(0)}%.
        </caption>
        <thead>
          <tr>
            <th scope="col">Action</th>
            {scores.at.map(({ k }) => (
              <th scope="col" key={k}>
                after {k} frame{k > 1 && "s"}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr class="all">
            <th scope="row">all</th>
            {scores.at.map(({ k, mean }) => (
              <td key={k}>
                <Meter value={mean} chance={scores.chance} label={`all, after ${k}`} />
              </td>
            ))}
          </tr>
          {keys.map((key) => (
            <tr key={key}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              {scores.at.map(({ k, byKey }) => (
                <td key={k}>
                  <Meter value={new Map(byKey).get(key) ?? 0} chance={scores.chance} label={`${key}, after ${k}`} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RolloutTable({ rolled }: { rolled: Rollouts }) {
  return (
    <div class="card evaluation">
      <table>
        <caption>
          <b>Pictures.</b> The model runs on by itself under a random walk; its frames against the simulator's (PSNR).
        </caption>
        <thead>
          <tr>
            <th scope="col">After</th>
            {rolled.steps.map((k) => (
              <th scope="col" key={k}>
                {k} frame{k > 1 && "s"}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rolled.rows.map(([text, values]) => (
            <tr key={text}>
              <th scope="row">{text}</th>
              {values.map((value, i) => (
                <td key={i}>{value === undefined ? "–" : figures(value)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
