// What a generator's manifest says. No DOM here.

import { figures, label } from "../format";

interface Model {
  size: number;
  width: number;
  depth: number;
  prediction: string;
}

interface Aligned {
  measured: { reward: number; fd: number; diversity: number };
  of_base: { reward: number };
  step: number;
  pareto: unknown[];
}

interface Manifest {
  model?: Model;
  aligned?: Aligned;
  config?: { rewards?: string[]; method?: string };
}

export function generatorSummary(manifest: Record<string, unknown>): string {
  const { aligned, config, model } = manifest as Manifest;
  if (!aligned) return model ? `worlds of ${model.size} blocks, ${model.prediction}` : "";
  const rewards = (config?.rewards ?? []).map((name) => label(name).toLowerCase()).join(", ");
  return `${rewards} by ${config?.method}: reward ${figures(aligned.of_base.reward)} to ${figures(aligned.measured.reward)}`;
}

export function generatorFacts(manifest: Record<string, unknown>): [name: string, value: string][] {
  const { aligned, model } = manifest as Manifest;
  const facts: [string, string][] = model
    ? [
        ["Worlds", `${model.size} blocks a side`],
        ["Transformer", `${model.depth} layers of ${model.width}`],
        ["Prediction", model.prediction],
      ]
    : [];
  if (aligned) {
    facts.push(["Reward", `${figures(aligned.measured.reward)}, the base's ${figures(aligned.of_base.reward)}`]);
    facts.push(["Measurements", `${aligned.pareto.length}, the best at step ${aligned.step}`]);
  }
  return facts;
}
