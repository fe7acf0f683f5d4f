// Where a job is in line, in words.

import type { Place, Queue } from "../api";
import { duration, ordinal } from "../format";

export const PRIORITIES: [number, string][] = [
  [-5, "low"],
  [0, "normal"],
  [5, "high"],
];

/** Of every job that is shown in its queue's line, what its row says. */
export function placesOf(queues: Queue[]): Map<string, string> {
  const texts = queues.flatMap((queue) => queue.first.map((place): [string, string] => [place.id, inWords(place, queue.paused_at !== null)]));
  return new Map(texts);
}

export function inWords({ position, queue, starts_in_s, waits_for }: Place, paused: boolean): string {
  const when = waits_for ? `waits for ${waits_for}` : paused ? "which is paused" : starts_in_s === null ? null : starts_in_s < 1 ? "starts next" : `starts in about ${duration(starts_in_s)}`;
  return [`${ordinal(position)} in line for ${queue}`, when].filter(Boolean).join(", ");
}
