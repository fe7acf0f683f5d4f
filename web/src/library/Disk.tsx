// What takes up the server's disk, and how much is free.

import { getDiskUse, type DiskUse } from "../api";
import { assetType } from "../domains";
import { bytes } from "../format";
import { usePoll } from "../poll";

const NAMES: Record<string, string> = {
  play: "Recorded play",
  artifact: "Previews, reports and logs of jobs",
  run: "Jobs at work, and states of failed ones",
  upload: "Uploads under way",
  log: "Logs of services",
  compiled: "Compiled models",
  database: "Database",
};

const EVERY_MS = 30_000;

export function Disk() {
  const { value } = usePoll(getDiskUse, EVERY_MS);
  if (!value) return null;
  return (
    <section class="card disk" aria-labelledby="disk-title">
      <h2 id="disk-title">Disk</h2>
      <p class={value.low ? "error" : "quiet"}>{room(value)}</p>
      <dl class="facts">
        {value.parts.map(({ type, size }) => (
          <div key={type}>
            <dt>{NAMES[type] ?? assetType(type).plural}</dt>
            <dd>{bytes(size)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function room({ free_bytes, reserve_bytes, low }: DiskUse): string {
  const free = bytes(free_bytes);
  const reserve = bytes(reserve_bytes);
  if (low) return `${free} free, less than the ${reserve} kept in reserve: new jobs are refused. Delete something.`;
  return `${free} free, of which ${reserve} are kept in reserve.`;
}
