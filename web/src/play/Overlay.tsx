// The numbers over the picture, and the same milliseconds as layers of soil beneath it.

import type { Hud, Session } from "./session";

const ms = (x: number | null): string => (x === null ? "–" : x < 10 ? x.toFixed(1) : x.toFixed(0));

export function Overlay({ session }: { session: Session }) {
  const hud = session.hud.value;
  if (!hud) return null;
  return (
    <div class="overlay" role="group" aria-label="Numbers of the live loop">
      <p>
        <span>
          <b data-stat="fps">{hud.fps.toFixed(1)}</b> fps
        </span>
        <span title="From a key's change to the first picture that answers it: median, and the slowest of a hundred">
          <span class="rest">key to picture </span>
          <b data-stat="latency">{ms(hud.p50_ms)}</b>
          {hud.p50_ms !== null && " ms"}
          {hud.p99_ms !== null && (
            <span class="rest">
              {" "}
              <i>p99</i> {ms(hud.p99_ms)}
            </span>
          )}
        </span>
      </p>
      <p>
        <span class="of-model">
          model <b data-stat="model">{ms(hud.model_ms)}</b> ms
        </span>
        <span class="of-encode">
          encode <b>{ms(hud.encode_ms)}</b>
        </span>
        <span class="of-queue">
          queue <b>{ms(hud.queue_ms)}</b>
        </span>
        <span>
          <b>{hud.dropped}</b> dropped
        </span>
        <span>
          <b>{hud.players}</b> {hud.players === 1 ? "player" : "players"}
        </span>
      </p>
    </div>
  );
}

/** How one frame's time is spent: model, encoding, waiting, and what is left over at this pace. */
export function Strata({ hud, fps }: { hud: Hud | null; fps: number }) {
  const budget_ms = 1000 / fps;
  const share = (part: number): string => `${Math.min(100, (100 * part) / budget_ms).toFixed(1)}%`;
  return (
    <div class="strata" aria-hidden="true">
      <i class="of-model" style={{ width: share(hud?.model_ms ?? 0) }} />
      <i class="of-encode" style={{ width: share(hud?.encode_ms ?? 0) }} />
      <i class="of-queue" style={{ width: share(hud?.queue_ms ?? 0) }} />
    </div>
  );
}
