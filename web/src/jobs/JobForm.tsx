// A form for every kind of job, made from GET /v1/job-kinds.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { AT_REST, getJobKinds, newKey, Problem, submitJob, type Job } from "../api";
import { ago, duration, label } from "../format";
import { usePoll } from "../poll";
import { query } from "../router";
import { choose, fitting, leftOut, useOffers, type Offers } from "./candidates";
import { PRIORITIES } from "./place";
import { fieldsOf, folded, ids, lastTook, startValues, toConfig, type Field, type Value } from "./schema";

/** What a page changes in the form of one kind. */
export interface Special {
  kind: string;
  title: string;
  /** Rows of its own in the place of some fields'; null where it takes none. */
  rows: Record<string, (props: SpecialRowProps) => ComponentChildren>;
  /** Groups that are not folded away. */
  open: string[];
}

export interface SpecialRowProps {
  field: Field;
  values: Record<string, Value>;
  set: (name: string, value: Value) => void;
  error: string | undefined;
  /** The row as any form has it. */
  plain: (none?: string) => ComponentChildren;
}

interface Props {
  jobs: Job[];
  submitted: (job: Job) => void;
  special?: Special;
}

export function JobForm({ jobs, submitted, special }: Props) {
  const kinds = usePoll(getJobKinds, 60_000);
  const [chosen, setChosen] = useState(special?.kind ?? query.value.get("kind") ?? "dataset.record");
  const [preset, setPreset] = useState("");
  const [name, setName] = useState("");
  const [priority, setPriority] = useState(0);
  const [after, setAfter] = useState(""); // a job that must have succeeded before
  const [open, setOpen] = useState(false); // the settings that few need
  const [values, setValues] = useState<Record<string, Value>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const once = useRef(newKey()); // the same until a job was made: a repeated click makes no second one
  const kind = kinds.value?.[chosen];
  const fields = useMemo(() => (kind ? fieldsOf(kind) : []), [kind]);

  // A link such as /jobs?kind=tokenizer.train&preset=debug&data=ID fills the form in.
  useEffect(() => {
    const asked = query.value.get("kind");
    if (asked && !special) setChosen(asked);
  }, [query.value]);
  useEffect(() => {
    if (!kind) return;
    const wanted = query.value.get("preset") ?? (special ? "default" : "cpu");
    const first = Object.keys(kind.presets).find((name) => name === wanted) ?? Object.keys(kind.presets)[0] ?? "";
    setPreset(first);
    setValues(startValues(fields, kind.presets[first], values, Object.fromEntries(query.value)));
    setProblem(null);
  }, [fields, query.value]);

  const set = (name: string, value: Value): void => setValues((now) => ({ ...now, [name]: value }));
  const choosePreset = (name: string): void => {
    setPreset(name);
    setValues((now) => startValues(fields, kind?.presets[name], now));
  };
  const valueOf = (field: Field, offers: Offers): Value => {
    const value = values[field.name] ?? "";
    return field.type === "input" ? choose(offers, field, value) : value;
  };
  const configOf = (offers: Offers) =>
    toConfig(chosen, fields, Object.fromEntries(fields.map((f) => [f.name, valueOf(f, offers)])));
  const [offers, offered] = useOffers(chosen, configOf);

  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    setBusy(true);
    try {
      const job = await submitJob(configOf(offers), name.trim(), once.current, priority, after);
      once.current = newKey();
      setProblem(null);
      setName("");
      setAfter("");
      submitted(job);
    } catch (error) {
      const found = error instanceof Problem ? error : new Problem(0, "client", String(error));
      setProblem(found);
      if (fields.some((f) => f.group && f.name in found.fields)) setOpen(true);
      if (!(error instanceof Problem) || error.status !== 0) once.current = newKey();
    }
    setBusy(false);
  };

  const more = folded(fields).filter(([group]) => !special?.open.includes(group));
  const row = (field: Field) => {
    const error = problem?.fields[field.name];
    const plain = (none?: string) => (
      <FieldRow
        key={field.name}
        field={field}
        value={valueOf(field, offers)}
        offers={offers}
        error={error}
        none={none}
        set={(value) => set(field.name, value)}
      />
    );
    const Row = special?.rows[field.name];
    return Row ? <Row key={field.name} field={field} values={values} set={set} error={error} plain={plain} /> : plain();
  };

  if (!kinds.value) return <p class="quiet">{kinds.error?.message ?? "Loading…"}</p>;
  return (
    <form class="job-form card" onSubmit={submit} onInvalidCapture={() => setOpen(true)} aria-labelledby="new-job">
      <h2 id="new-job">{special?.title ?? "New job"}</h2>
      {!special && (
        <label class="field">
          <span>What to do</span>
          <select name="kind" onChange={(e) => setChosen(e.currentTarget.value)}>
            {Object.entries(kinds.value).map(([name, { title }]) => (
              <option key={name} value={name} selected={name === chosen}>
                {title}
              </option>
            ))}
          </select>
        </label>
      )}
      {kind?.schema.description && (
        <p class="quiet hint">{kind.schema.description.split("\n\n")[0]!.replace(/`/g, "")}</p>
      )}
      {kind && Object.keys(kind.presets).length > 0 && (
        <div class="field">
          <label for="preset">Preset</label>
          <select id="preset" name="preset" aria-describedby="preset-help" onChange={(e) => choosePreset(e.currentTarget.value)}>
            {Object.keys(kind.presets).map((name) => (
              <option key={name} selected={name === preset}>{name}</option>
            ))}
          </select>
          <PresetHelp about={kind.preset_help[preset] ?? ""} took_s={lastTook(jobs, chosen, kind.presets[preset] ?? {})} />
        </div>
      )}
      <div class="fields">{fields.filter((f) => !f.group || special?.open.includes(f.group)).map(row)}</div>
      {more.length > 0 && (
        <details class="more-settings" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
          <summary>More settings ({more.flatMap(([, of]) => of).length})</summary>
          {more.map(([group, of]) => (
            <fieldset key={group}>
              <legend>{group}</legend>
              <div class="fields">{of.map(row)}</div>
            </fieldset>
          ))}
        </details>
      )}
      <label class="field">
        <span>Name (optional)</span>
        <input name="job-name" maxLength={100} value={name} onInput={(e) => setName(e.currentTarget.value)} />
      </label>
      <details class="more-settings">
        <summary>When it starts</summary>
        <div class="fields">
          <label class="field">
            <span>Priority</span>
            <select name="job-priority" onChange={(e) => setPriority(Number(e.currentTarget.value))}>
              {PRIORITIES.map(([value, level]) => (
                <option key={value} value={value} selected={value === priority}>
                  {level}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            <span>After</span>
            <select name="job-after" onChange={(e) => setAfter(e.currentTarget.value)}>
              <option value="">as soon as possible</option>
              {jobs.filter((job) => !AT_REST.has(job.state)).map((job) => (
                <option key={job.id} value={job.id} selected={job.id === after}>
                  {job.name}
                </option>
              ))}
            </select>
          </label>
        </div>
      </details>
      {problem && (
        <p class="error" role="alert" data-code={problem.code}>
          {problem.message}
        </p>
      )}
      <button type="submit" class="primary wide-button" disabled={busy || !kind || !offered}>
        {busy ? "Submitting…" : (kind?.title ?? "Submit")}
      </button>
    </form>
  );
}

/** What the preset is for, and how long it took the last time that this machine ran it. */
function PresetHelp({ about, took_s }: { about: string; took_s: number | null }) {
  const text = [about.replace(/`/g, ""), took_s !== null && `It took ${duration(took_s)} here the last time.`];
  return <p class="quiet help" id="preset-help">{text.filter(Boolean).join(" ")}</p>;
}

interface FieldRowProps {
  field: Field;
  value: Value;
  offers: Offers;
  error: string | undefined;
  none?: string; // what stands for an input that is left out
  set: (value: Value) => void;
}

function FieldRow({ field, value, offers, error, none = "none", set }: FieldRowProps) {
  const id = `field-${field.name}`;
  const options = fitting(offers, field.name);
  const out = leftOut(offers, field.name);
  const help = [field.help.replace(/`/g, ""), out].filter(Boolean).join(" ");
  const common = {
    id,
    name: field.name,
    "aria-invalid": error !== undefined,
    "aria-describedby": [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ") || undefined,
  };
  return (
    <div class={`field of-${field.type === "list" && field.texts ? "texts" : field.type}`}>
      <label for={id}>{label(field.name)}</label>
      {field.type === "input" ? (
        <select
          {...common}
          required={field.required}
          multiple={field.many}
          onChange={(e) => set(Array.from(e.currentTarget.selectedOptions, (o) => o.value).join(","))}
        >
          {!field.required && !field.many && <option value="">{none}</option>}
          {field.required && !options.length && <option value="">no {field.inputs[0]?.replace("-", " ")} yet</option>}
          {options.map((o) => (
            <option key={o.id} value={o.id} selected={ids(value).includes(o.id)}>
              {o.name}
              {o.id !== "shipped" && ` (${ago(o.created_at)})`}
            </option>
          ))}
        </select>
      ) : field.type === "choice" ? (
        <select {...common} onChange={(e) => set(e.currentTarget.value)}>
          {field.choices.map((choice) => (
            <option key={choice} selected={choice === value}>{choice}</option>
          ))}
        </select>
      ) : field.type === "boolean" ? (
        <input {...common} type="checkbox" checked={value === true} onChange={(e) => set(e.currentTarget.checked)} />
      ) : field.type === "number" || field.type === "integer" ? (
        <input
          {...common}
          type="number"
          step={field.step ?? (field.type === "integer" ? 1 : "any")}
          min={field.min}
          max={field.max}
          value={String(value)}
          onInput={(e) => set(e.currentTarget.value)}
        />
      ) : field.type === "list" && field.texts ? (
        <textarea {...common} rows={2} title="One a line" value={String(value)} onInput={(e) => set(e.currentTarget.value)} />
      ) : (
        <input {...common} type="text" value={String(value)} onInput={(e) => set(e.currentTarget.value)} />
      )}
      {help && (
        <p class="quiet help" id={`${id}-help`}>
          {help}
        </p>
      )}
      {error && (
        <p class="error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}
