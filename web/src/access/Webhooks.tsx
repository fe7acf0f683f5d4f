// Webhooks: addresses that are told of ends, what was delivered to them, and what went wrong.

import { useState } from "preact/hooks";
import {
  changeWebhook,
  deleteWebhook,
  listDeliveries,
  listWebhooks,
  makeWebhook,
  pingWebhook,
  rotateWebhook,
  type Delivery,
  type Webhook,
  type WebhookEvent,
} from "../api";
import { useAttempt } from "../attempt";
import { ago } from "../format";
import { usePoll } from "../poll";
import { Secret } from "./Secret";

const EVENTS: [WebhookEvent, string][] = [
  ["job.ended", "a job has ended"],
  ["plan.ended", "a plan has ended"],
];

export function Webhooks() {
  const { value, error, refresh } = usePoll(listWebhooks, 10_000);
  const [secret, setSecret] = useState<{ url: string; secret: string } | null>(null);
  const { attempt, problem } = useAttempt(refresh);
  const wrong = problem || error?.message;
  return (
    <section class="card" aria-labelledby="webhooks-title">
      <h2 id="webhooks-title">Webhooks</h2>
      <p class="lead">
        Addresses that are told when jobs and plans end, signed as <a href="https://www.standardwebhooks.com">Standard Webhooks</a> say.
      </p>
      {wrong && (
        <p class="error" role="alert">
          {wrong}
        </p>
      )}
      {secret && <Secret title={`The secret that signs what ${secret.url} is sent.`} text={secret.secret} done={() => setSecret(null)} />}
      <ul class="entries">
        {value?.map((hook) => (
          <WebhookRow
            key={hook.id}
            hook={hook}
            attempt={attempt}
            rotate={attempt(async () => setSecret(await rotateWebhook(hook.id)))}
          />
        ))}
        {value?.length === 0 && <li class="quiet">Nobody is told.</li>}
      </ul>
      <NewWebhook make={(url, events) => attempt(async () => setSecret(await makeWebhook(url, events)))()} />
    </section>
  );
}

interface RowProps {
  hook: Webhook;
  attempt: (what: () => Promise<unknown>) => () => Promise<boolean>;
  rotate: () => Promise<boolean>;
}

function WebhookRow({ hook, attempt, rotate }: RowProps) {
  const [open, setOpen] = useState(false);
  const state = hook.disabled_at ? `off since ${ago(hook.disabled_at)}: ${hook.disabled_because}` : hook.failing_since ? `failing since ${ago(hook.failing_since)}` : "on";
  const off = hook.disabled_at !== null;
  return (
    <li class="entry" data-webhook={hook.id} data-over={off}>
      <div>
        <b class="address">{hook.url}</b>
        <p class={off || hook.failing_since ? "error" : "quiet"}>{[hook.events.join(", "), state].join(" · ")}</p>
      </div>
      <div class="actions">
        <button type="button" disabled={off} onClick={() => void attempt(() => pingWebhook(hook.id))().then((sent) => sent && setOpen(true))}>
          Send a test
        </button>
        <button type="button" onClick={attempt(() => changeWebhook(hook.id, { enabled: off }))}>
          {off ? "Switch on" : "Switch off"}
        </button>
        <button type="button" onClick={() => confirm("A new secret? For a day the old one signs as well.") && void rotate()}>
          New secret
        </button>
        <button type="button" onClick={() => confirm(`Delete ${hook.url}? Nothing more is sent to it.`) && void attempt(() => deleteWebhook(hook.id))()}>
          Delete
        </button>
      </div>
      <details open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>Last deliveries</summary>
        {open && <Deliveries of={hook.id} />}
      </details>
    </li>
  );
}

function Deliveries({ of }: { of: string }) {
  const { value, error } = usePoll(() => listDeliveries(of), 2000, of);
  if (error) return <p class="error">{error.message}</p>;
  if (!value) return null;
  if (!value.length) return <p class="quiet">Nothing was sent in the last 30 days.</p>;
  return (
    <ul class="deliveries">
      {value.map((delivery) => (
        <li key={delivery.id} data-event={delivery.event} data-delivered={delivery.delivered_at !== null}>
          <code>{delivery.event}</code> <span class={delivery.error ? "error" : "quiet"}>{outcome(delivery)}</span>
        </li>
      ))}
    </ul>
  );
}

function outcome({ attempts, created_at, delivered_at, due_at, error }: Delivery): string {
  const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  if (delivered_at) return `delivered ${ago(delivered_at)}, ${tries}`;
  const then = due_at ? (attempts ? `again at ${new Date(due_at).toLocaleTimeString()}` : "on its way") : "given up";
  return [`of ${ago(created_at)}`, attempts && tries, error, then].filter(Boolean).join(", ");
}

function NewWebhook({ make }: { make: (url: string, events: WebhookEvent[]) => Promise<boolean> }) {
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState<WebhookEvent[]>(EVENTS.map(([event]) => event));
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    if (await make(url, events)) setUrl("");
  };
  return (
    <form class="new-entry" onSubmit={(e) => void submit(e)} aria-label="New webhook">
      <label class="field whole">
        <span>Address</span>
        <input name="webhook-url" type="url" required maxLength={2000} placeholder="https://" value={url} onInput={(e) => setUrl(e.currentTarget.value)} />
      </label>
      <fieldset class="choices">
        <legend class="quiet">It is told when</legend>
        {EVENTS.map(([event, what]) => (
          <label class="check" key={event}>
            <input
              type="checkbox"
              checked={events.includes(event)}
              onChange={() => setEvents((now) => (now.includes(event) ? now.filter((e) => e !== event) : [...now, event]))}
            />
            <span>{what}</span>
          </label>
        ))}
      </fieldset>
      <button type="submit" class="primary" disabled={!events.length}>
        Add a webhook
      </button>
    </form>
  );
}
