// What block types wear: entries of customBlocks, which other programs may use besides. Mirrors worlds/blocks/map_entries.py.

import { AIR, ID, NAMES } from "./palette";

export const COAT_SIDE = 32; // texels along a block's side
const BYTES = COAT_SIDE * COAT_SIDE * 3;
export const TEXELS = ["basecolor", "normal", "orm"] as const;
export type TexelName = (typeof TEXELS)[number];

/** RGB bytes of each map, rows from the top. */
export type Texels = Record<TexelName, Uint8Array<ArrayBuffer>>;

export interface Coat {
  material: string; // id of the asset, which has the same maps in full size
  name: string;
  texels: Texels;
}

type Entry = { blockType?: unknown; material?: unknown; name?: unknown; texels?: Record<string, unknown> };

const isCoat = (entry: unknown): entry is Entry =>
  typeof entry === "object" && entry !== null && "blockType" in entry && "texels" in entry;

/** By type. The error of a bad one names it; what is none is left alone. */
export function coatsOf(custom: readonly unknown[]): Map<number, Coat> {
  const found = new Map<number, Coat>();
  custom.forEach((entry, index) => isCoat(entry) && found.set(...read(entry, `entry ${index} of customBlocks`)));
  return found;
}

function read({ blockType, material, name, texels }: Entry, where: string): [number, Coat] {
  const type = typeof blockType === "string" ? ID.get(blockType) : undefined;
  if (!type || type === AIR) {
    throw new Error(`${where}: blockType ${JSON.stringify(blockType)}, expected one of ${NAMES.slice(1).join(", ")}`);
  }
  if (texels?.["side"] !== COAT_SIDE) {
    throw new Error(`${where}: texels.side is ${JSON.stringify(texels?.["side"])}, expected ${COAT_SIDE}`);
  }
  const maps = TEXELS.map((map) => [map, decode(texels[map], `${where}: texels.${map}`)]);
  return [type, { material: String(material ?? ""), name: String(name ?? ""), texels: Object.fromEntries(maps) as Texels }];
}

function decode(text: unknown, where: string): Uint8Array<ArrayBuffer> {
  let bytes: string;
  try {
    bytes = atob(String(text));
  } catch {
    throw new Error(`${where} is ${JSON.stringify(text)?.slice(0, 40)}, expected base64`);
  }
  if (bytes.length !== BYTES) throw new Error(`${where} has ${bytes.length} bytes, expected ${COAT_SIDE} x ${COAT_SIDE} x 3`);
  return Uint8Array.from(bytes, (c) => c.charCodeAt(0));
}

const encode = (bytes: Uint8Array): string => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));

/** customBlocks with this type in another coat, or in none. */
export function dressed(custom: readonly unknown[], type: number, coat: Coat | null): unknown[] {
  const others = custom.filter((entry) => !(isCoat(entry) && entry.blockType === NAMES[type]));
  if (!coat) return others;
  const texels = Object.fromEntries(TEXELS.map((map) => [map, encode(coat.texels[map])]));
  return [...others, { blockType: NAMES[type], material: coat.material, name: coat.name, texels: { side: COAT_SIDE, ...texels } }];
}
