// Pictures as the browser decodes them: their pixels, as PNG, and the few texels that a block type wears.

import { materialFile, type Asset } from "../api";
import { COAT_SIDE, type Coat } from "../worlds/coats";
import { hasMap } from "./manifest";
import { shrunk } from "./pixels";

export interface Picture {
  rgba: Uint8ClampedArray<ArrayBuffer>;
  side: number;
}

/** As stored: no colour profile, no alpha mixed in. */
async function decoded(source: Blob): Promise<ImageBitmap> {
  return createImageBitmap(source, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
}

export async function pictureOf(url: string): Promise<Picture> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const bitmap = await decoded(await response.blob());
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  return { rgba: context.getImageData(0, 0, bitmap.width, bitmap.height).data as Picture["rgba"], side: bitmap.width };
}

/** A chosen file as PNG: one that is goes as it is, and is judged by the server. `crop`: the square in its middle, at
 *  `crop` pixels a side. */
export async function pngOf(file: File, crop: number | null): Promise<Uint8Array<ArrayBuffer>> {
  if (crop === null && file.type === "image/png") return new Uint8Array(await file.arrayBuffer());
  const bitmap = await decoded(file).catch(() => {
    throw new Error(`${file.name} is no picture that this browser reads`);
  });
  const [width, height] = crop === null ? [bitmap.width, bitmap.height] : [crop, crop];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  const square = Math.min(bitmap.width, bitmap.height);
  if (crop === null) context.drawImage(bitmap, 0, 0);
  else context.drawImage(bitmap, (bitmap.width - square) / 2, (bitmap.height - square) / 2, square, square, 0, 0, crop, crop);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}

/** The side of the largest square in the middle of the smallest of these pictures. */
export async function commonSide(files: readonly File[]): Promise<number> {
  const sides = await Promise.all(
    files.map(async (file) => {
      const { width, height } = await decoded(file);
      return Math.min(width, height);
    }),
  );
  return Math.min(...sides);
}

/** A material at the size in which a map.json brings it along. */
export async function coatOf({ id, name, manifest }: Asset): Promise<Coat> {
  const few = async (map: string): Promise<Uint8Array<ArrayBuffer>> => {
    const { rgba, side } = await pictureOf(materialFile(id, map));
    return shrunk(rgba, side, COAT_SIDE);
  };
  const [basecolor, normal, roughness, metallic, ao] = (await Promise.all([
    ...["basecolor", "normal", "roughness", "metallic"].map(few),
    hasMap(manifest, "ao") ? few("ao") : new Uint8Array(COAT_SIDE * COAT_SIDE * 3).fill(255),
  ])) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
  const orm = basecolor.map((_, i) => [ao, roughness, metallic][i % 3]![i]!);
  return { material: id, name, texels: { basecolor, normal, orm } };
}
