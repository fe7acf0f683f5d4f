// An evaluation (worlds/world_model/evaluation/recipe.py) in the shape that the pages draw.

export interface Retrieval {
  chance: number;
  at: { k: number; mean: number; byKey: [key: string, score: number][] }[];
}

type ByK = Record<string, number>;

const byK = (x: unknown): ByK | null => (x !== null && typeof x === "object" ? (x as ByK) : null);

/** Counterfactual retrieval out of a checkpoint's evaluation or an evaluation's result; null where there is none. */
export function retrieval(evaluation: Record<string, unknown> | null | undefined): Retrieval | null {
  const mean = byK(evaluation?.["counterfactual_retrieval"]);
  if (!mean) return null;
  const byKey = (evaluation?.["retrieval_by_key"] ?? {}) as Record<string, ByK>;
  return {
    chance: Number(evaluation?.["chance"] ?? 0),
    at: Object.keys(mean).map((k) => ({ k: Number(k), mean: mean[k]!, byKey: Object.entries(byKey[k] ?? {}) })),
  };
}

const ROLLOUT_ROWS: [key: string, text: string][] = [
  ["rollout_psnr", "world model, dB"],
  ["copy_last_psnr", "last picture held still, dB"],
  ["tokenizer_psnr", "best that its tokenizer allows, dB"],
  ["rollout_ssim", "world model, SSIM"],
  ["copy_last_ssim", "last picture held still, SSIM"],
  ["tokenizer_ssim", "best that its tokenizer allows, SSIM"],
  ["rollout_lpips_random", "world model, LPIPS (random trunk)"],
  ["copy_last_lpips_random", "last picture held still, LPIPS (random trunk)"],
  ["tokenizer_lpips_random", "best that its tokenizer allows, LPIPS (random trunk)"],
  ["edge_energy_ratio", "sharpness, 1 is the simulator's"],
];

export interface Rollouts {
  steps: number[];
  rows: [text: string, values: (number | undefined)[]][];
}

/** Pictures of free-running rollouts against the simulator's, per step; null where there are none. */
export function rollouts(evaluation: Record<string, unknown> | null | undefined): Rollouts | null {
  const psnr = byK(evaluation?.["rollout_psnr"]);
  if (!psnr) return null;
  const steps = Object.keys(psnr);
  const rows = ROLLOUT_ROWS.flatMap(([key, text]): Rollouts["rows"] => {
    const values = byK(evaluation?.[key]);
    return values ? [[text, steps.map((k) => values[k])]] : [];
  });
  return { steps: steps.map(Number), rows };
}

export interface Judged {
  windows: string[];
  byKey: [key: string, shares: (number | null)[]][]; // of what the judge reads off the simulator's own frames
}

/** What a judge reads off long rollouts; the reason, where no judge fits the frames; null where nobody asked one. */
export function judged(evaluation: Record<string, unknown> | null | undefined): Judged | string | null {
  const judge = evaluation?.["judge"] as { available: boolean; reason?: string; keys?: string[] } | undefined;
  if (!judge) return null;
  if (!judge.available) return judge.reason ?? "";
  const shares = evaluation?.["judge_share"] as Record<string, Record<string, number | null>>;
  const windows = Object.keys(shares);
  return {
    windows,
    byKey: (judge.keys ?? []).map((key) => [key, windows.map((w) => shares[w]?.[key] ?? null)]),
  };
}

export interface Realism {
  windows: string[];
  walks: { text: string; rows: [text: string, values: [value: number, spread: number][]][] }[];
}

const REALISM_ROWS: [key: string, text: string][] = [
  ["frechet_ratio", "Fréchet distance, 1 is real"],
  ["kid_ratio", "kernel distance, 1 is real"],
  ["two_sample_error", "error of a classifier, .5 is real"],
  ["legibility", "legible cells, 1 is real"],
];
const WALKS: Record<string, string> = { random: "Random walk", w: "W held", s: "S held", circle: "Circle" };

/** What a probe of blocks sees in long rollouts, with standard errors; null where it saw none. */
export function realism(evaluation: Record<string, unknown> | null | undefined): Realism | null {
  type Windows = Record<string, ByK>;
  const random = evaluation?.["realism"] as Windows | null | undefined;
  if (!random) return null;
  const spread = evaluation?.["realism_spread"] as Record<string, Windows>;
  const kinds = { random, ...(evaluation?.["realism_held"] as Record<string, Windows>) };
  const windows = Object.keys(random);
  return {
    windows,
    walks: Object.entries(kinds).map(([kind, found]) => ({
      text: WALKS[kind] ?? kind,
      rows: REALISM_ROWS.map(([key, text]) => [
        text,
        windows.map((w) => [found[w]?.[key] ?? NaN, spread[kind]?.[w]?.[key] ?? NaN]),
      ]),
    })),
  };
}

export type Fact = [text: string, model: number, reference: number | null, referenceText: string];

/** Motion, memory and stability as single figures, each with what it is to be held against; only what was measured. */
export function endurance(evaluation: Record<string, unknown> | null | undefined): Fact[] {
  const found: Fact[] = [];
  const add = (text: string, model: unknown, reference: unknown, referenceText: string): void => {
    if (typeof model !== "number") return;
    found.push([text, model, typeof reference === "number" ? reference : null, referenceText]);
  };
  const side = (x: unknown, name: string, field: string): unknown =>
    (x as Record<string, Record<string, unknown>> | undefined)?.[name]?.[field];
  const { yaw, zoom, ...e } = evaluation ?? {};
  const turned = (name: string): unknown => side(yaw, name, "px_per_degree");
  add("Pixels that a degree of turning moves the picture", turned("model"), turned("simulator"), "simulator");
  for (const key of ["w", "s"])
    add(`Zoom of four steps of ${key.toUpperCase()}`, side(zoom, key, "model"), side(zoom, key, "simulator"), "simulator");
  for (const [n, value] of Object.entries(byK(e["memory_psnr"]) ?? {}))
    add(`Turned away ${n} steps and back: likeness to the first picture, dB`, value, e["memory_tokenizer_psnr"], "tokenizer");
  for (const [way, value] of Object.entries(byK(e["memory_drop"]) ?? {}))
    add(`Coming back (${way.replaceAll("_", " ")}): dB below the tokenizer’s own picture`, value, 0, "tokenizer");
  add("Codes that flicker with no key held, share", e["noop_churn"], 0, "simulator");
  add("Change from frame to frame after 200 steps, ratio", e["churn_ratio"], 1, "simulator");
  add("Different codes a frame after 200 steps, ratio", e["codes_per_frame_ratio"], 1, "simulator");
  add("Sharpness after 200 steps, ratio", e["edge_energy_ratio_settled"], 1, "simulator");
  add("Steps until pictures cannot be read as a block world", e["steps_to_divergence"], e["steps_to_divergence_real"], "real walks");
  add("Fréchet distance of steps 257 to 512", e["frechet_distance"], e["frechet_distance_real"], "real clips");
  return found;
}
