// The row of the Align form that chooses rewards and their weights: two of the config's fields.

import type { SpecialRowProps } from "../jobs/JobForm";
import { label } from "../format";
import { ownRewards, rewardsOf, withRewards } from "./rewards";

const ABOUT: Record<string, string> = {
  palette: "more blocks of the material",
  colour: "pictures nearer to the material's colour",
  silhouette: "outlines like the target's",
  symmetry: "left and right alike",
  connectivity: "no block stands alone",
  support: "nothing floats",
  depth_normals: "smooth faces",
  clip: "pictures nearer to the words",
  hps: "what people prefer",
  aesthetic: "higher aesthetic marks",
  normal: "surfaces as an estimator sees them",
};

export function Rewards({ field, values, set, error, plain }: SpecialRowProps) {
  if (!field.choices.length) return plain();
  const weights = rewardsOf(values);
  const change = (name: string, weight: number | null): void => {
    for (const [key, value] of Object.entries(withRewards(field.choices, values, name, weight))) set(key, value);
  };
  const weigh = (name: string, called: string) =>
    weights.size > 1 &&
    weights.has(name) && (
      <input
        type="number"
        aria-label={`Weight of ${called}`}
        min={0}
        step="any"
        value={weights.get(name)}
        onChange={(e) => e.currentTarget.valueAsNumber > 0 && change(name, e.currentTarget.valueAsNumber)}
      />
    );
  return (
    <fieldset class="field rewards of-texts" aria-describedby={error && "rewards-error"}>
      <legend>Rewards</legend>
      {field.choices.map((name) => (
        <div key={name} class="reward">
          <label class="check">
            <input type="checkbox" name="rewards" value={name} checked={weights.has(name)} onChange={(e) => change(name, e.currentTarget.checked ? 1 : null)} />
            <span>
              <b>{label(name)}</b> <span class="quiet">{ABOUT[name]}</span>
            </span>
          </label>
          {weigh(name, label(name).toLowerCase())}
        </div>
      ))}
      {weights.size > 1 &&
        ownRewards(values).map((name) => (
          <div key={name} class="reward">
            <span class="check">{name}</span>
            {weigh(name, name)}
          </div>
        ))}
      {error && (
        <p class="error" id="rewards-error">
          {error}
        </p>
      )}
    </fieldset>
  );
}
