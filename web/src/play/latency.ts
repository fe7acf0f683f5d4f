// From a key to its picture: when an input change was sent, and when the first frame that answers it was drawn.

const SAMPLES = 240;

export class Latency {
  private waiting: { seq: number; at_ms: number }[] = [];
  private samples: number[] = [];

  sent(seq: number, at_ms: number): void {
    this.waiting.push({ seq, at_ms });
    if (this.waiting.length > SAMPLES) this.waiting.shift();
  }

  /** A frame was drawn that answers every input up to `action_seq`. */
  drawn(action_seq: number, at_ms: number): void {
    while (this.waiting[0] && this.waiting[0].seq <= action_seq) {
      const { at_ms: sent_ms } = this.waiting.shift()!;
      this.samples.push(at_ms - sent_ms);
      if (this.samples.length > SAMPLES) this.samples.shift();
    }
  }

  /** A new connection counts its inputs from one again. */
  forget(): void {
    this.waiting = [];
  }

  get count(): number {
    return this.samples.length;
  }

  /** Nearest-rank percentile, `p` in (0, 1]; null before the first sample. */
  percentile(p: number): number | null {
    if (!this.samples.length) return null;
    const sorted = [...this.samples].sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]!;
  }
}

/** Frames a second over the last two seconds of drawing. */
export class Rate {
  private times: number[] = [];

  tick(now_ms: number): void {
    this.times.push(now_ms);
    while (this.times.length > 2 && now_ms - this.times[0]! > 2000) this.times.shift();
  }

  perSecond(now_ms: number): number {
    const first = this.times[0];
    const last = this.times.at(-1);
    if (first === undefined || last === undefined || last === first || now_ms - last > 2000) return 0;
    return ((this.times.length - 1) * 1000) / (last - first);
  }
}
