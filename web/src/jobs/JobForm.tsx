// A form for every kind of job, made from GET /v1/job-kinds.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getJobKinds, Problem, submitJob } from "../api";
import { ago, label } from "../format";
import { usePoll } from "../poll";
import { go, query } from "../router";
import { choose, fitting, leftOut, useOffers, type Offers } from "./candidates";
import { fieldsOf, ids, startValues, toConfig, type Field, type Value } from "./schema";

/** An Idempotency-Key; not crypto.randomUUID, which plain HTTP beyond localhost lacks. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

export function JobForm({ submitted }: { submitted: () => void }) {
  const kinds = usePoll(getJobKinds, 60_000);
  const [chosen, setChosen] = useState(query.value.get("kind") ?? "dataset.record");
  const [preset, setPreset] = useState("");
  const [values, setValues] = useState<Record<string, Value>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const once = useRef(newKey()); // the same until a job was made: a repeated click makes no second one
  const kind = kinds.value?.[chosen];
  const fields = useMemo(() => (kind ? fieldsOf(kind) : []), [kind]);

  // A link such as /jobs?kind=tokenizer.train&data=ID fills the form in.
  useEffect(() => {
    const asked = query.value.get("kind");
    if (asked) setChosen(asked);
  }, [query.value]);
  useEffect(() => {
    if (!kind) return;
    const first = Object.keys(kind.presets).find((name) => name === "cpu") ?? Object.keys(kind.presets)[0] ?? "";
    setPreset(first);
    const kept = { ...values, ...Object.fromEntries(query.value) };
    setValues(startValues(fields, kind.presets[first], kept));
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
  const offers = useOffers(chosen, configOf);

  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    setBusy(true);
    try {
      const job = await submitJob(configOf(offers), once.current);
      once.current = newKey();
      setProblem(null);
      submitted();
      if (query.value.size) go("/jobs", true);
      document.getElementById("jobs-said")!.textContent = `Submitted ${job.kind}.`;
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "client", String(error)));
      if (!(error instanceof Problem) || error.status !== 0) once.current = newKey();
    }
    setBusy(false);
  };

  if (!kinds.value) return <p class="quiet">{kinds.error?.message ?? "Loading…"}</p>;
  return (
    <form class="job-form card" onSubmit={submit} aria-labelledby="new-job">
      <h2 id="new-job">New job</h2>
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
      {kind && Object.keys(kind.presets).length > 0 && (
        <label class="field">
          <span>Preset</span>
          <select name="preset" onChange={(e) => choosePreset(e.currentTarget.value)}>
            {Object.keys(kind.presets).map((name) => (
              <option key={name} selected={name === preset}>{name}</option>
            ))}
          </select>
        </label>
      )}
      {kind?.schema.description && <p class="quiet hint">{kind.schema.description.replace(/`/g, "")}</p>}
      <div class="fields">
        {fields.map((field) => (
          <FieldRow
            key={field.name}
            field={field}
            value={valueOf(field, offers)}
            offers={offers}
            error={problem?.fields[field.name]}
            set={(value) => set(field.name, value)}
          />
        ))}
      </div>
      {problem && (
        <p class="error" role="alert" data-code={problem.code}>
          {problem.message}
        </p>
      )}
      <button type="submit" class="primary wide-button" disabled={busy || !kind}>
        {busy ? "Submitting…" : (kind?.title ?? "Submit")}
      </button>
    </form>
  );
}

interface FieldRowProps {
  field: Field;
  value: Value;
  offers: Offers;
  error: string | undefined;
  set: (value: Value) => void;
}

function FieldRow({ field, value, offers, error, set }: FieldRowProps) {
  const id = `field-${field.name}`;
  const options = fitting(offers, field.name);
  const out = leftOut(offers, field.name);
  const help = [field.help, out].filter(Boolean).join(" ");
  const common = {
    id,
    name: field.name,
    "aria-invalid": error !== undefined,
    "aria-describedby": [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ") || undefined,
  };
  return (
    <div class={`field of-${field.type}`}>
      <label for={id}>{label(field.name)}</label>
      {field.type === "input" ? (
        <select
          {...common}
          required={field.required}
          multiple={field.many}
          onChange={(e) => set(Array.from(e.currentTarget.selectedOptions, (o) => o.value).join(","))}
        >
          {!field.required && !field.many && <option value="">none</option>}
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
      ) : (
        <input {...common} type="text" list={undefined} value={String(value)} onInput={(e) => set(e.currentTarget.value)} />
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
