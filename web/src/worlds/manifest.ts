// What a block world's manifest says, for lists and facts. No DOM here.

import type { Asset } from "../api";

/** `32 × 24 × 32`; nothing where the manifest does not say. */
export function sizeText(manifest: Asset["manifest"]): string {
  const size = manifest["size"];
  return Array.isArray(size) ? size.join(" × ") : "";
}

export function blocksText(manifest: Asset["manifest"]): string {
  const blocks = manifest["blocks"];
  return typeof blocks === "number" ? `${blocks.toLocaleString("en")} blocks` : "";
}

export const worldSummary = (manifest: Asset["manifest"]): string =>
  [sizeText(manifest), blocksText(manifest)].filter(Boolean).join(" · ");
