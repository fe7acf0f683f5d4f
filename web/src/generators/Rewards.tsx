// The row of the Align form that chooses rewards and their weights: two of the config's fields.

import type { SpecialRowProps } from "../jobs/JobForm";
import { label } from "../format";
import { rewardsOf, withRewards } from "./rewards";

const ABOUT: Record<string, string> = {
  palette: "more blocks of the material",
  colour: "pictures nearer to the material's colour",
  silhouette: "outlines like the target's",
  symmetry: "left and right alike",
  connectivity: "no block stands alone",
  support: "nothing floats",
  depth_normals: "smooth faces",
};

export function Rewards({ field, values, set, error, plain }: SpecialRowProps) {
  if (!field.choices.length) return plain();
  const weights = rewardsOf(values);
  const change = (name: string, weight: number | null): void => {
    for (const [key, value] of Object.entries(withRewards(field.choices, weights, name, weight))) set(key, value);
  };
  return (
    <fieldset class="field rewards of-texts" aria-describedby={error && "rewards-error"}>
      <legend>Rewards</legend>
      {field.choices.map((name) => {
        const weight = weights.get(name);
        return (
          <div key={name} class="reward">
            <label class="check">
              <input type="checkbox" name="rewards" value={name} checked={weight !== undefined} onChange={(e) => change(name, e.currentTarget.checked ? 1 : null)} />
              <span>
                <b>{label(name)}</b> <span class="quiet">{ABOUT[name]}</span>
              </span>
            </label>
            {weight !== undefined && weights.size > 1 && (
              <input
                type="number"
                aria-label={`Weight of ${label(name).toLowerCase()}`}
                min={0}
                step="any"
                value={weight}
                onChange={(e) => e.currentTarget.valueAsNumber > 0 && change(name, e.currentTarget.valueAsNumber)}
              />
            )}
          </div>
        );
      })}
      {error && (
        <p class="error" id="rewards-error">
          {error}
        </p>
      )}
    </fieldset>
  );
}
