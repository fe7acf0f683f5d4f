// A checkpoint's manifest (worlds/checkpoint.py) as a few plain facts.

import { count } from "../format";
import { frameSize, known, object, origin, type Manifest } from "../manifest";

const number = (x: unknown): string | null => (typeof x === "number" ? count(x) : null);
const names = (x: unknown): string | null => (Array.isArray(x) && x.length ? x.join(", ") : null);

/** `1.4 M`; null where the manifest does not say. */
function weights(manifest: Manifest): string | null {
  const n = Number(manifest["parameters"] ?? 0);
  if (!n) return null;
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : `${Math.round(n / 1e3)} k`;
}

/** `mixed, 64 × 64, 1.4 M weights`, as far as the manifest says. */
export function checkpointSummary(manifest: Manifest): string {
  const data = object(manifest["data"]);
  const size = weights(manifest);
  return [origin(data)?.[1], frameSize(data["frame_size"]), size && `${size} weights`].filter(Boolean).join(", ");
}

export function checkpointFacts(manifest: Manifest): [name: string, value: string][] {
  const data = object(manifest["data"]);
  const trained = object(manifest["dynamics"] ?? manifest["tokenizer"]);
  const precision = object(manifest["machine"])["precision"];
  return known([
    ["Weights", weights(manifest)],
    origin(data) ?? ["Source", null],
    ["Frame size", frameSize(data["frame_size"])],
    ["Frames a second", number(data["fps"])],
    ["Actions", names(data["action_names"])],
    ["Training steps", number(trained["steps"])],
    ["Precision", typeof precision === "string" ? precision : null],
  ]);
}
