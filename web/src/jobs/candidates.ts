// Which inputs a form offers: those that fit beside what is chosen. The gateway judges; nothing here knows a rule.

import { useEffect, useState } from "preact/hooks";
import { getCandidates, type Candidate, type Config } from "../api";
import { ids, type Field, type Value } from "./schema";

export type Offers = Record<string, Candidate[]>;

/** What the field may take as things stand. */
export const fitting = (offers: Offers, field: string): Candidate[] =>
  (offers[field] ?? []).filter((c) => !(field in c.misfits));

/** Why the rest is not offered, in one line; empty where all fit. */
export function leftOut(offers: Offers, field: string): string {
  const reasons = (offers[field] ?? []).map((c) => c.misfits[field]).filter((reason) => reason !== undefined);
  if (!reasons.length) return "";
  return reasons.length === 1 ? `1 does not fit: it ${reasons[0]}.` : `${reasons.length} do not fit, one ${reasons[0]}.`;
}

/** The inputs that a field has (ids with commas between, where it takes many): the chosen ones that fit; else, where
 *  one is needed, the newest that rules out nothing else that is chosen. */
export function choose(offers: Offers, field: Field, value: Value): string {
  if (!(field.name in offers)) return String(value); // not known yet
  const fit = fitting(offers, field.name);
  const kept = ids(value).filter((id) => fit.some((c) => c.id === id));
  if (kept.length || !field.required) return kept.join(",");
  return (fit.find((c) => !Object.keys(c.misfits).length) ?? fit[0])?.id ?? "";
}

/** The newest answer for a draft, asked for whenever it changes and every few seconds, and whether there was one for
 *  this kind. What a draft holds depends in turn on what is offered. */
export function useOffers(kind: string, draft: (offers: Offers) => Config): [Offers, boolean] {
  const [offers, setOffers] = useState<Offers>({});
  const [answered, setAnswered] = useState("");
  const asked = JSON.stringify(draft(offers));
  useEffect(() => setOffers({}), [kind]);
  useEffect(() => {
    let gone = false;
    const ask = async (): Promise<void> => {
      if (document.hidden) return;
      const answer = await getCandidates(kind, JSON.parse(asked) as Config).catch(() => null); // a field half typed
      if (gone) return;
      if (answer) setOffers(answer);
      setAnswered(kind);
    };
    void ask();
    const timer = setInterval(() => void ask(), 5000);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [kind, asked]);
  return [offers, answered === kind];
}
