// Datasets' and checkpoints' manifests (worlds/episodes/format.py, recipe.py) as a few plain facts.

import { count } from "../format";

type Manifest = Record<string, unknown>;

const object = (x: unknown): Manifest => (x !== null && typeof x === "object" ? (x as Manifest) : {});

const frameSize = (x: unknown): string | null => (Array.isArray(x) && x.length === 2 ? `${x[1]} × ${x[0]}` : null);

/** Where frames come from: the block world's terrain, an environment, else the kind of source. */
function origin(manifest: Manifest): [name: string, value: string] | null {
  const source = object(manifest["source"]);
  for (const [key, name] of [["terrain", "Terrain"], ["env", "Game"], ["kind", "Source"]] as const) {
    if (typeof source[key] === "string") return [name, source[key]];
  }
  return null;
}

export function datasetFacts(manifest: Manifest): [name: string, value: string][] {
  const episodes = Array.isArray(manifest["episodes"]) ? manifest["episodes"].map(object) : [];
  const held = episodes.filter((e) => e["split"] === "val").length;
  const frames = episodes.reduce((sum, e) => sum + Number(e["length"] ?? 0), 0);
  const facts: [string, string | null][] = [
    origin(manifest) ?? ["Source", null],
    ["Episodes", episodes.length ? `${count(episodes.length)}, ${count(held)} held out` : null],
    ["Frames", frames ? count(frames) : null],
    ["Frame size", frameSize(manifest["frame_size"])],
    ["Frames a second", manifest["fps"] === undefined ? null : String(manifest["fps"])],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null);
}

/** `mixed, 64 × 64, 1.4 M weights`, as far as the manifest says. */
export function checkpointSummary(manifest: Manifest): string {
  const data = object(manifest["data"]);
  const weights = Number(manifest["parameters"] ?? 0);
  const size = weights >= 1e6 ? `${(weights / 1e6).toFixed(1)} M` : `${Math.round(weights / 1e3)} k`;
  return [origin(data)?.[1], frameSize(data["frame_size"]), weights ? `${size} weights` : null].filter(Boolean).join(", ");
}
