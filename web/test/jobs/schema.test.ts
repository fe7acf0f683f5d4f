import { describe, expect, it } from "vitest";
import type { Job, JobKind } from "../../src/api";
import { fieldsOf, folded, lastTook, startValues, toConfig } from "../../src/jobs/schema";

const KIND: JobKind = {
  schema: {
    type: "object",
    required: ["data"],
    properties: {
      kind: { const: "tokenizer.train", default: "tokenizer.train", type: "string" },
      data: { type: "string", description: "Frames to train on." },
      start: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
      quantiser: { enum: ["ema_vq", "fsq"], default: "ema_vq", type: "string" },
      more: { type: "array", items: { type: "string" }, default: [] },
      levels: { type: "array", items: { type: "integer" }, default: [8, 5, 5, 5] },
      steps: { type: "integer", minimum: 1, maximum: 100, multipleOf: 5, default: 50 },
      lr: { type: "number", default: 0.001, group: "Optimisation" },
      names: { type: "array", items: { type: "string" }, default: [] },
      flow: { type: "boolean", default: true },
    },
  },
  presets: { debug: { kind: "tokenizer.train", data: "-", steps: 20, flow: false } },
  preset_help: { debug: "Tries everything out." },
  title: "Train a tokenizer",
  makes: "tokenizer",
  several: false,
  inputs: { data: ["dataset"], start: ["tokenizer", "world-model"], more: ["dataset"] },
};

describe("a link to a form", () => {
  it("fills in any field, over the preset", () => {
    const asked = { steps: "45", names: "", flow: "true", data: "d1", no: "field" };
    const values = startValues(fieldsOf(KIND), KIND.presets["debug"], { data: "d0" }, asked);
    expect(values).toMatchObject({ steps: "45", names: "", flow: true, data: "d1" });
    expect("no" in values).toBe(false);
  });
});

describe("a form out of a schema", () => {
  const fields = fieldsOf(KIND);

  it("has a field a property, each of its type, without the kind", () => {
    expect(fields.map((f) => [f.name, f.type])).toEqual([
      ["data", "input"],
      ["start", "input"],
      ["quantiser", "choice"],
      ["more", "input"],
      ["levels", "list"],
      ["steps", "integer"],
      ["lr", "number"],
      ["names", "list"],
      ["flow", "boolean"],
    ]);
    expect(fields.slice(0, 2).map((f) => [f.inputs, f.help])).toEqual([
      [["dataset"], "Frames to train on."],
      [["tokenizer", "world-model"], ""],
    ]);
    expect(fields.slice(0, 4).map((f) => f.required)).toEqual([true, false, false, false]);
    expect(fields.find((f) => f.name === "steps")).toMatchObject({ min: 1, max: 100, step: 5, initial: "50" });
  });

  it("starts from the preset over the defaults and keeps the chosen inputs", () => {
    const values = startValues(fields, KIND.presets["debug"], { data: "d1", steps: "99" });
    expect(values).toEqual({ data: "d1", start: "", more: "", quantiser: "ema_vq", levels: "8, 5, 5, 5", steps: "20", lr: "0.001", names: "", flow: false });
  });

  it("sends numbers as numbers, lists as lists, and leaves out what is empty", () => {
    const config = toConfig("tokenizer.train", fields, { data: "d1", more: "a,b", levels: "4, 4", names: "a b, c\n d ", steps: "7", lr: "", flow: true });
    expect(config).toEqual({ kind: "tokenizer.train", data: "d1", more: ["a", "b"], levels: [4, 4], names: ["a b, c", "d"], steps: 7, flow: true });
  });

  it("folds away what has a group", () => {
    expect(folded(fields).map(([group, of]) => [group, of.map((f) => f.name)])).toEqual([["Optimisation", ["lr"]]]);
  });

  it("tells how long the newest job of a preset took", () => {
    const preset = { kind: "tokenizer.train", steps: 20 };
    const job = (state: Job["state"], finished_at: string, steps = 20): Job =>
      ({ kind: "tokenizer.train", state, config: { ...preset, steps, data: "d" }, started_at: "2026-01-01T00:00:00Z", finished_at }) as unknown as Job;
    const jobs = [job("failed", "2026-01-01T00:00:01Z"), job("succeeded", "2026-01-01T00:01:00Z", 21), job("succeeded", "2026-01-01T00:00:30Z")];
    expect(lastTook(jobs, "tokenizer.train", preset)).toBe(30);
    expect(lastTook(jobs, "world-model.train", preset)).toBeNull();
  });
});
