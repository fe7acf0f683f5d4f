// Artifacts in the order that pages need. No DOM here.

import type { Artifact } from "../api";

/** Artifacts of each name, oldest first; names in the order in which they first came. */
export function byName(artifacts: Artifact[]): [name: string, history: Artifact[]][] {
  const out = new Map<string, Artifact[]>();
  for (const artifact of artifacts.toSorted((a, b) => a.created_at.localeCompare(b.created_at))) {
    out.set(artifact.name, [...(out.get(artifact.name) ?? []), artifact]);
  }
  return [...out];
}
