// The frames of an episode, fetched a stretch at a time. No DOM here.

const STRETCH = 2 ** 20; // bytes, about
const KEPT = 24; // stretches

export type GetBytes = (url: string, start: number, end: number) => Promise<Uint8Array>;

export class Reel {
  private readonly per: number; // frames in a stretch
  private readonly stretches = new Map<number, Uint8Array>();
  private readonly coming = new Map<number, Promise<void>>();

  /** `frames` of `frameBytes` each lie one after the other at `url`. */
  constructor(
    readonly url: string,
    readonly frames: number,
    readonly frameBytes: number,
    private readonly getBytes: GetBytes,
  ) {
    this.per = Math.max(1, Math.floor(STRETCH / frameBytes));
  }

  /** RGB bytes of frame `i`; null until they have come. */
  at(i: number): Uint8Array | null {
    const stretch = this.stretches.get(Math.floor(i / this.per));
    const start = (i % this.per) * this.frameBytes;
    return stretch?.subarray(start, start + this.frameBytes) ?? null;
  }

  /** Resolves once frame `i` is there; the stretch after it is on its way then. */
  async want(i: number): Promise<void> {
    const n = Math.floor(i / this.per);
    await this.fetch(n);
    void this.fetch(n + 1).catch(() => undefined); // asked for again when its turn comes
  }

  private fetch(n: number): Promise<void> {
    if (this.stretches.has(n) || n * this.per >= this.frames) return Promise.resolve();
    const known = this.coming.get(n);
    if (known) return known;
    const start = n * this.per * this.frameBytes;
    const end = Math.min((n + 1) * this.per, this.frames) * this.frameBytes;
    const fetched = this.getBytes(this.url, start, end)
      .then((bytes) => {
        this.stretches.set(n, bytes);
        for (const old of this.stretches.keys()) {
          if (this.stretches.size <= KEPT) break;
          this.stretches.delete(old);
        }
      })
      .finally(() => this.coming.delete(n));
    this.coming.set(n, fetched);
    return fetched;
  }
}

/** RGB -> RGBA, as canvases take it. */
export function withAlpha(rgb: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    rgba[to] = rgb[from]!;
    rgba[to + 1] = rgb[from + 1]!;
    rgba[to + 2] = rgb[from + 2]!;
    rgba[to + 3] = 255;
  }
  return rgba;
}
