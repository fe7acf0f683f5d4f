// A dataset's manifest (worlds/episodes/format.py) as a few plain facts.

import { count } from "../format";
import { frameSize, known, object, origin, type Manifest } from "../manifest";

export interface Episode {
  id: string;
  length: number; // frames
  seed: number;
  split: string;
}

export const episodesOf = (manifest: Manifest): Episode[] => {
  const entries = Array.isArray(manifest["episodes"]) ? manifest["episodes"].map(object) : [];
  return entries.map((e) => ({
    id: String(e["id"]),
    length: Number(e["length"] ?? 0),
    seed: Number(e["seed"]),
    split: String(e["split"]),
  }));
};

/** [height, width] of a frame. */
export const frameShape = (manifest: Manifest): [number, number] | null => {
  const size = manifest["frame_size"];
  return Array.isArray(size) && size.length === 2 ? [Number(size[0]), Number(size[1])] : null;
};

const namesOf = (x: unknown): string | null => (Array.isArray(x) && x.length ? x.join(", ") : null);

export function datasetFacts(manifest: Manifest): [name: string, value: string][] {
  const episodes = episodesOf(manifest);
  const held = episodes.filter((e) => e.split === "val").length;
  const frames = episodes.reduce((sum, e) => sum + e.length, 0);
  return known([
    origin(manifest) ?? ["Source", null],
    ["Episodes", episodes.length ? `${count(episodes.length)}, ${count(held)} held out` : null],
    ["Frames", frames ? count(frames) : null],
    ["Frame size", frameSize(manifest["frame_size"])],
    ["Frames a second", manifest["fps"] === undefined ? null : String(manifest["fps"])],
    ["Actions", namesOf(manifest["action_names"])],
  ]);
}

/** `mixed, 64 × 64, 51,400 frames`, as far as the manifest says. */
export function datasetSummary(manifest: Manifest, frames = 0): string {
  return [origin(manifest)?.[1], frameSize(manifest["frame_size"]), frames ? `${count(frames)} frames` : null]
    .filter(Boolean)
    .join(", ");
}
