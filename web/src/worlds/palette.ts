// Block types and their lit colours, from worlds/blocks/palette.py by way of palette.json. No DOM here.

import palette from "./palette.json";

export const AIR = 0;
/** Names of the types; a type's id is its index. */
export const NAMES: readonly string[] = palette.names;
export const ID: ReadonlyMap<string, number> = new Map(NAMES.map((name, id) => [name, id]));
/** What can be built with. */
export const SOLID: readonly number[] = NAMES.map((_, id) => id).slice(1);

const byte = (value: number): number => Math.round(value * 255);
const css = (rgb: number[]): string => `rgb(${rgb.map(byte).join(" ")})`;

/** RGB bytes of a type's face, three each: at (type * 6 + face) * 3. Faces: -x, +x, -y, +y, -z, +z. */
export const LUT = Uint8Array.from(palette.lut.flat(2), byte);
export const SKY: readonly number[] = palette.sky;
/** Towards the sun, of unit length. */
export const SUN = palette.sun as [number, number, number];
/** CSS colour of a type's face. */
export const faceColour = (type: number, face: number): string => css(palette.lut[type]![face]!);
/** `RedWool` -> `Red wool`. */
export const spoken = (type: number): string => {
  const words = NAMES[type]!.replace(/(?<=[a-z])(?=[A-Z])/g, " ");
  return words.charAt(0) + words.slice(1).toLowerCase();
};
