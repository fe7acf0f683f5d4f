interface Props {
  value: number;
  chance: number;
  label: string;
  tick?: string;
}

/** A score in [0, 1] as a bar, with a tick at `chance`, where guessing would land, or at what else `tick` names. */
export function Meter({ value, chance, label, tick = "a guess" }: Props) {
  const percent = (x: number): string => `${(100 * x).toFixed(1)}%`;
  return (
    <span class="meter" title={`${label}: ${percent(value)}; ${tick}: ${percent(chance)}`}>
      <span class="track" aria-hidden="true">
        <i style={{ width: percent(Math.max(0, Math.min(1, value))) }} />
        <s style={{ left: percent(chance) }} />
      </span>
      <span class="unseen">{label}: </span>
      <b>{(100 * value).toFixed(0)}%</b>
    </span>
  );
}
