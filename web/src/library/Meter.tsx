/** A score in [0, 1] as a bar, with a tick where guessing would land. */
export function Meter({ value, chance, label }: { value: number; chance: number; label: string }) {
  const percent = (x: number): string => `${(100 * x).toFixed(1)}%`;
  return (
    <span class="meter" title={`${label}: ${percent(value)}; a guess: ${percent(chance)}`}>
      <span class="track" aria-hidden="true">
        <i style={{ width: percent(Math.max(0, Math.min(1, value))) }} />
        <s style={{ left: percent(chance) }} />
      </span>
      <span class="unseen">{label}: </span>
      <b>{(100 * value).toFixed(0)}%</b>
    </span>
  );
}
