import { figures } from "../format";
import {
  endurance,
  judged,
  realism,
  retrieval,
  rollouts,
  type Fact,
  type Judged,
  type Realism,
  type Retrieval,
  type Rollouts,
} from "./evaluation";
import { Meter } from "./Meter";

export function EvaluationTables({ evaluation }: { evaluation: Record<string, unknown> | null }) {
  const scores = retrieval(evaluation);
  const read = judged(evaluation);
  const rolled = rollouts(evaluation);
  const seen = realism(evaluation);
  const facts = endurance(evaluation);
  return (
    <>
      {scores && <RetrievalTable scores={scores} />}
      {typeof read === "string" && <p class="quiet">No judge of keys: {read}.</p>}
      {read && typeof read !== "string" && <JudgeTable read={read} />}
      {rolled && <RolloutTable rolled={rolled} />}
      {seen && <RealismTable seen={seen} />}
      {facts.length > 0 && <EnduranceTable facts={facts} />}
    </>
  );
}

/** Per key: how often the model's future is nearest to the simulator's under the same action. */
function RetrievalTable({ scores }: { scores: Retrieval }) {
  const keys = scores.at[0]?.byKey.map(([key]) => key) ?? [];
  return (
    <div class="card evaluation" id="retrieval" role="group" aria-label="Control" tabIndex={0}>
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
    <div class="card evaluation" role="group" aria-label="Pictures" tabIndex={0}>
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

const GOOD_SHARE = 0.8;

/** Per key and window of a long rollout: the judge's F1 on the model's frames over its F1 on the simulator's. */
function JudgeTable({ read }: { read: Judged }) {
  return (
    <div class="card evaluation" id="judge" role="group" aria-label="Control that lasts" tabIndex={0}>
      <table>
        <caption>
          <b>Control that lasts.</b> The model runs on by itself; a judge that was trained on the simulator tells from its
          pictures which keys were held. Share of what it tells from the simulator’s own pictures. The tick marks{" "}
          {100 * GOOD_SHARE}%.
        </caption>
        <thead>
          <tr>
            <th scope="col">Action</th>
            {read.windows.map((w) => (
              <th scope="col" key={w}>
                steps {w.replace("-", "–")}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {read.byKey.map(([key, shares]) => (
            <tr key={key}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              {shares.map((share, i) => (
                <td key={i}>
                  {share === null ? (
                    <span class="quiet">too rare</span>
                  ) : (
                    <Meter value={share} chance={GOOD_SHARE} label={`${key}, steps ${read.windows[i]}`} tick="goal" />
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Per kind of walk and window: what a probe of blocks makes of the pictures, beside the simulator's. */
function RealismTable({ seen }: { seen: Realism }) {
  return (
    <div class="card evaluation" id="realism" role="group" aria-label="Realism" tabIndex={0}>
      <table>
        <caption>
          <b>Realism.</b> A network that was trained to name blocks, faces and depths looks at long walks of the model and of
          the simulator. ± is a standard error.
        </caption>
        {seen.walks.map(({ text, rows }) => (
          <tbody key={text}>
            <tr>
              <th scope="col">{text}</th>
              {seen.windows.map((w) => (
                <th scope="col" key={w}>
                  steps {w.replace("-", "–")}
                </th>
              ))}
            </tr>
            {rows.map(([row, values]) => (
              <tr key={row}>
                <th scope="row">{row}</th>
                {values.map(([value, spread], i) => (
                  <td key={i}>
                    {value.toFixed(2)} ± {spread.toFixed(2)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

function EnduranceTable({ facts }: { facts: Fact[] }) {
  return (
    <div class="card evaluation" id="endurance" role="group" aria-label="Motion, memory, stability" tabIndex={0}>
      <table>
        <caption>
          <b>Motion, memory, stability.</b> Each figure beside what it is to be held against.
        </caption>
        <thead>
          <tr>
            <th scope="col">Measure</th>
            <th scope="col">World model</th>
            <th scope="col">Against</th>
          </tr>
        </thead>
        <tbody>
          {facts.map(([text, model, reference, referenceText]) => (
            <tr key={text}>
              <th scope="row">{text}</th>
              <td>{figures(model)}</td>
              <td>{reference === null ? "–" : `${figures(reference)}, ${referenceText}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
