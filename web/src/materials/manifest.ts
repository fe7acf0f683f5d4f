// What manifests of materials, view sets and their models say. No DOM here.

import { figures } from "../format";
import { known, object, type Manifest } from "../manifest";

/** In the order in which they are shown. */
export const SHOWN = ["basecolor", "roughness", "metallic", "normal", "ao", "height", "confidence"] as const;
export type Shown = (typeof SHOWN)[number];

export const hasMap = (manifest: Manifest, name: string): boolean => `${name}.png` in object(manifest["files"]);

/** The maps that a material has; a confidence where a model found them. */
export const mapsOf = (manifest: Manifest): Shown[] =>
  SHOWN.filter((name) => hasMap(manifest, name) || (name === "confidence" && typeof manifest["confidence"] === "number"));

/** Ids of what it was found from, and by. */
export function inputsOf(manifest: Manifest): { views?: string; model?: string } {
  return object(manifest["inputs"]) as { views?: string; model?: string };
}

/** Of what a model found: the views that it saw are beside the maps. */
export const wasFound = (manifest: Manifest): boolean => typeof manifest["confidence"] === "number";

export const fromOne = (manifest: Manifest): boolean => manifest["pictures"] === 1;

const sizeOf = (manifest: Manifest): string | null => (typeof manifest["size"] === "number" ? `${manifest["size"]} × ${manifest["size"]}` : null);

export function materialSummary(manifest: Manifest): string {
  const how = wasFound(manifest) ? `found from ${fromOne(manifest) ? "one picture" : "three views"}` : typeof manifest["family"] === "string" ? "procedural" : "brought";
  return [sizeOf(manifest), how].filter(Boolean).join(" · ");
}

export function materialFacts(manifest: Manifest): [string, string][] {
  return known([
    ["Pixels", sizeOf(manifest)],
    ["Family", typeof manifest["family"] === "string" ? manifest["family"].replaceAll("_", " ") : null],
    ["Seed", typeof manifest["seed"] === "number" ? String(manifest["seed"]) : null],
    ["Maps", mapsOf(manifest).join(", ")],
    [fromOne(manifest) ? "Steady when turned" : "Views agree", typeof manifest["confidence"] === "number" ? `${Math.round(100 * manifest["confidence"])} %` : null],
    ["Normals", typeof manifest["normals_given"] === "boolean" ? (manifest["normals_given"] ? "given" : "from the height") : null],
    ["Poses of the views", typeof manifest["posed"] === "boolean" ? (manifest["posed"] ? "known" : "unknown") : null],
  ]);
}

export const viewsSummary = (manifest: Manifest): string =>
  ["three views", sizeOf(manifest), manifest["poses"] === true && "poses known"].filter(Boolean).join(" · ");

export const diffuseSummary = (manifest: Manifest): string =>
  ["one diffuse texture", sizeOf(manifest), manifest["normal"] === true && "with normals"].filter(Boolean).join(" · ");

export type Row = [map: string, psnr: string, rmse: string, mae: string, ssim: string];

/** Of maps beside the truth; empty where that is not known. */
export function comparison(of: Manifest): { rows: Row[]; angles: string | null } {
  const found = object(of["figures"]);
  const rows = Object.entries(object(found["maps"])).map(([map, each]) => {
    const { psnr, rmse, mae, ssim } = object(each);
    return [map, figures(psnr), figures(rmse), figures(mae), figures(ssim)] as Row;
  });
  const degrees = object(found["normal_deg"]);
  const angles = Object.entries(degrees).map(([name, value]) => `${name} ${figures(value)}`);
  return { rows, angles: angles.length ? angles.join(", ") : null };
}
