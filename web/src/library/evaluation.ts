// An evaluation (worlds/world_model/evaluate.py) in the shape that the pages draw.

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
