// A job kind's JSON schema as form fields, and what was typed as a config. No DOM here.

import type { Config, Job, JobKind, Schema } from "../api";

export type Value = string | boolean;

export interface Field {
  name: string;
  type: "number" | "integer" | "boolean" | "choice" | "input" | "list" | "text";
  choices: string[]; // of a choice, or of each text in a list; empty: any
  many: boolean; // takes several inputs
  texts: boolean; // a list of texts, else of numbers
  group: string; // with which it is folded away; empty: shown at once
  inputs: string[]; // types of what the field names: "dataset", or a checkpoint's kind
  help: string;
  min?: number;
  max?: number;
  step?: number;
  required: boolean;
  initial: Value;
}

const plain = (schema: Schema): Schema => schema.anyOf?.find((s) => s.type !== "null") ?? schema;

export function fieldsOf(kind: JobKind): Field[] {
  const required = new Set(kind.schema.required ?? []);
  return Object.entries(kind.schema.properties ?? {})
    .filter(([, schema]) => schema.const === undefined)
    .map(([name, whole]) => {
      const schema = plain(whole);
      const field: Field = {
        name,
        type: "text",
        choices: plain(schema.items ?? {}).enum?.map(String) ?? [],
        inputs: kind.inputs[name] ?? [],
        many: schema.type === "array",
        texts: plain(schema.items ?? {}).type === "string",
        group: whole.group ?? schema.group ?? "",
        help: whole.description ?? "",
        required: required.has(name),
        initial: show(whole.default ?? schema.default),
      };
      if (schema.minimum !== undefined) field.min = schema.minimum;
      if (schema.maximum !== undefined) field.max = schema.maximum;
      if (schema.multipleOf !== undefined) field.step = schema.multipleOf;
      if (field.inputs.length) {
        const optional = whole.anyOf?.some((s) => s.type === "null") || (field.many && !field.required);
        return { ...field, type: "input", initial: "", required: !optional }; // the first choice stands for a default
      }
      if (schema.enum) return { ...field, type: "choice", choices: schema.enum.map(String) };
      if (schema.type === "boolean") return { ...field, type: "boolean", initial: field.initial === true };
      if (schema.type === "integer" || schema.type === "number") return { ...field, type: schema.type };
      if (schema.type === "array") return { ...field, type: "list" };
      return field;
    });
}

/** Of the inputs in a field's value. */
export const ids = (value: Value): string[] => String(value).split(",").filter(Boolean);

/** A config's value as a form holds it; "-" stands in presets for an input still to be chosen. */
function show(value: unknown): Value {
  if (typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.join(value.every((v) => typeof v === "string") ? "\n" : ", ");
  return value === undefined || value === null || value === "-" ? "" : String(value);
}

/** Field defaults, then the preset's values over them, then those that a link asks for. Inputs keep what `kept` says. */
export function startValues(
  fields: Field[],
  preset: Config = {},
  kept: Record<string, Value> = {},
  asked: Record<string, string> = {},
): Record<string, Value> {
  return Object.fromEntries(
    fields.map((f) => {
      if (f.name in asked) return [f.name, f.type === "boolean" ? asked[f.name] === "true" : asked[f.name]!];
      if (f.type === "input") return [f.name, kept[f.name] ?? ""];
      return [f.name, f.name in preset ? show(preset[f.name]) : f.initial];
    }),
  );
}

/** Texts have a line each, numbers have commas or spaces between them. */
const listOf = (field: Field, text: string): (string | number)[] =>
  field.texts
    ? text.split("\n").map((t) => t.trim()).filter(Boolean)
    : text.split(/[\s,]+/).filter(Boolean).map(Number);

/** Fields that are folded away, by their groups. */
export function folded(fields: Field[]): [group: string, fields: Field[]][] {
  const out = new Map<string, Field[]>();
  for (const field of fields) if (field.group) out.set(field.group, [...(out.get(field.group) ?? []), field]);
  return [...out];
}

/** Seconds that the newest job of this preset took here; null where none has succeeded. Inputs may differ. */
export function lastTook(jobs: Job[], kind: string, preset: Config): number | null {
  const same = (job: Job): boolean =>
    Object.entries(preset).every(([name, value]) => JSON.stringify(job.config[name]) === JSON.stringify(value));
  const job = jobs.find((j) => j.kind === kind && j.state === "succeeded" && j.started_at && j.finished_at && same(j));
  return job ? (Date.parse(job.finished_at!) - Date.parse(job.started_at!)) / 1000 : null;
}

/** What goes to the gateway. An empty field is left out, so that its default holds. */
export function toConfig(kind: string, fields: Field[], values: Record<string, Value>): Config {
  const config: Config = { kind };
  for (const field of fields) {
    const value = values[field.name];
    if (value === undefined || value === "") continue;
    if (field.type === "input" && field.many) config[field.name] = ids(value);
    else if (field.type === "number" || field.type === "integer") config[field.name] = Number(value);
    else if (field.type === "list") config[field.name] = listOf(field, String(value));
    else config[field.name] = value;
  }
  return config;
}
