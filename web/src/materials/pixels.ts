// What the map viewer does to pixels: channels, differences, borders, small copies. RGBA bytes, no DOM here.

export type Bytes = Uint8ClampedArray | Uint8Array;
export type Channel = "r" | "g" | "b";
export const CHANNELS: readonly Channel[] = ["r", "g", "b"];

/** The channels that are on; one alone as grey, which eyes compare best. */
export function masked(rgba: Bytes, on: ReadonlySet<Channel>): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(rgba);
  const kept = CHANNELS.map((c) => on.has(c));
  const alone = on.size === 1 ? CHANNELS.findIndex((c) => on.has(c)) : -1;
  for (let i = 0; i < out.length; i += 4) {
    for (let k = 0; k < 3; k++) out[i + k] = alone >= 0 ? rgba[i + alone]! : kept[k] ? rgba[i + k]! : 0;
    out[i + 3] = 255;
  }
  return out;
}

/** Black, purple, orange, yellow: lightness grows with the value, in [0, 1]. */
export function heat(value: number): [r: number, g: number, b: number] {
  const stops = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]] as const; // matplotlib's inferno
  const at = Math.min(Math.max(value, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [stops[i]!, stops[i + 1]!];
  return [0, 1, 2].map((k) => Math.round(a[k]! + (b[k]! - a[k]!) * (at - i))) as [number, number, number];
}

const HEAT = Array.from({ length: 256 }, (_, i) => heat(i / 255));

/** Writes the colour of a share of `full` at a pixel. */
function glow(rgba: Uint8ClampedArray, i: number, value: number, full: number): void {
  const [r, g, b] = HEAT[Math.min(255, Math.round((255 * value) / full))]!;
  rgba[i] = r;
  rgba[i + 1] = g;
  rgba[i + 2] = b;
  rgba[i + 3] = 255;
}

export interface Compared {
  rgba: Uint8ClampedArray<ArrayBuffer>; // a heat map
  far: number;
}

/** How far two pictures of one size are apart: the heat of the channel that is farthest, brightest at `full` levels of
 *  255; `far` is the root of the mean square over pixels and channels, in levels. */
export function difference(a: Bytes, b: Bytes, full: number): Compared {
  const rgba = new Uint8ClampedArray(a.length);
  let squares = 0;
  for (let i = 0; i < a.length; i += 4) {
    let most = 0;
    for (let k = i; k < i + 3; k++) {
      const apart = Math.abs(a[k]! - b[k]!);
      squares += apart * apart;
      if (apart > most) most = apart;
    }
    glow(rgba, i, most, full);
  }
  return { rgba, far: Math.sqrt(squares / ((a.length / 4) * 3)) };
}

/** The same of two normal maps: angles, brightest at `full` degrees; `far` is their mean. */
export function angles(a: Bytes, b: Bytes, full: number): Compared {
  const rgba = new Uint8ClampedArray(a.length);
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) {
    let [dot, aa, bb] = [0, 0, 0];
    for (let k = i; k < i + 3; k++) {
      const [u, v] = [a[k]! - 127.5, b[k]! - 127.5];
      dot += u * v;
      aa += u * u;
      bb += v * v;
    }
    const degrees = (Math.acos(Math.min(Math.max(dot / Math.sqrt(aa * bb || 1), -1), 1)) * 180) / Math.PI;
    sum += degrees;
    glow(rgba, i, degrees, full);
  }
  return { rgba, far: sum / (a.length / 4) };
}

/** Whether a square picture repeats: the mean difference of neighbours across its border and inside, in levels. */
export function border(rgba: Bytes, side: number): { across: number; inside: number } {
  const step = (i: number, j: number): number =>
    (Math.abs(rgba[i]! - rgba[j]!) + Math.abs(rgba[i + 1]! - rgba[j + 1]!) + Math.abs(rgba[i + 2]! - rgba[j + 2]!)) / 3;
  const at = (x: number, y: number): number => 4 * (y * side + x);
  const last = side - 1;
  let across = 0;
  let inside = 0;
  for (let t = 0; t < side; t++) {
    across += step(at(last, t), at(0, t)) + step(at(t, last), at(t, 0));
    for (let s = 0; s < last; s++) inside += step(at(s, t), at(s + 1, t)) + step(at(t, s), at(t, s + 1));
  }
  return { across: across / (2 * side), inside: inside / (2 * side * last) };
}

/** RGB bytes of a square picture at `to` pixels a side, each the mean of what it covers. */
export function shrunk(rgba: Bytes, side: number, to: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(to * to * 3);
  const edge = (i: number): number => Math.floor((i * side) / to);
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      const [x0, x1] = [edge(x), Math.max(edge(x + 1), edge(x) + 1)];
      const [y0, y1] = [edge(y), Math.max(edge(y + 1), edge(y) + 1)];
      const sum = [0, 0, 0];
      for (let v = y0; v < y1; v++) {
        for (let u = x0; u < x1; u++) for (let k = 0; k < 3; k++) sum[k]! += rgba[4 * (v * side + u) + k]!;
      }
      for (let k = 0; k < 3; k++) out[(y * to + x) * 3 + k] = Math.round(sum[k]! / ((x1 - x0) * (y1 - y0)));
    }
  }
  return out;
}
