// Numbers and times as people read them.

export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** 1 -> `1st`, 12 -> `12th`, 23 -> `23rd`. */
export function ordinal(n: number): string {
  const teen = n % 100 > 10 && n % 100 < 14;
  return `${n}${teen ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th")}`;
}

/** 200 -> `3:20`, 3800 -> `1:03:20`: for axes. */
export function clock(seconds: number): string {
  const s = Math.round(seconds);
  const two = (n: number): string => String(n).padStart(2, "0");
  const minutes = s < 3600 ? String(Math.floor(s / 60)) : `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}`;
  return `${minutes}:${two(s % 60)}`;
}

export function ago(time: string | null, now = Date.now()): string {
  if (!time) return "–";
  const s = (now - Date.parse(time)) / 1000;
  if (s < 5) return "just now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return new Date(time).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

export function count(n: number): string {
  return n.toLocaleString("en");
}

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  if (n < 1e6) return `${(n / 1e3).toFixed(1)} kB`;
  if (n < 1e9) return `${(n / 1e6).toFixed(1)} MB`;
  return `${(n / 1e9).toFixed(1)} GB`;
}

/** Up to four figures that matter, without trailing zeros. */
export function figures(x: unknown): string {
  if (Array.isArray(x)) return x.map(figures).join(", ");
  if (typeof x !== "number") return typeof x === "object" ? JSON.stringify(x) : String(x);
  if (Number.isInteger(x)) return count(x);
  const small = Math.abs(x) < 1e-3;
  return small ? x.toExponential(2) : String(Number(x.toPrecision(4)));
}

const WORDS: Record<string, string> = {
  ce: "cross-entropy",
  ema: "EMA",
  film: "FiLM",
  val: "validation",
  env: "environment",
  fd: "Fréchet distance",
  fps: "FPS",
  id: "ID",
  l1: "L1",
  lr: "learning rate",
  iou: "IoU",
  psnr: "PSNR",
  ssim: "SSIM",
};

/** `val_psnr` -> `Validation PSNR`. */
export function label(name: string): string {
  const words = name
    .split(/[_\s-]+/)
    .map((word) => WORDS[word] ?? word)
    .join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
