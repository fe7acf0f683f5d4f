// API keys: those there are, a new one, an end to one.

import { useState } from "preact/hooks";
import { listKeys, makeKey, revokeKey, type Key, type Scope } from "../api";
import { useAttempt } from "../attempt";
import { ago } from "../format";
import { usePoll } from "../poll";
import { Secret } from "./Secret";

const SCOPES: [Scope, string][] = [
  ["read", "look at everything"],
  ["submit", "start and change jobs, upload"],
  ["play", "play live"],
  ["admin", "keys, webhooks, queues, high priority"],
];
const LASTS: [string, number | null][] = [
  ["a week", 7],
  ["30 days", 30],
  ["a year", 365],
  ["for ever", null],
];

export function Keys() {
  const { value, error, refresh } = usePoll(listKeys, 10_000);
  const [made, setMade] = useState<{ name: string; key: string } | null>(null);
  const { attempt, problem } = useAttempt(refresh);
  const wrong = problem || error?.message;
  return (
    <section class="card" aria-labelledby="keys-title">
      <h2 id="keys-title">API keys</h2>
      <p class="lead">
        A browser enters with one at the door, a program sends it as <code>Authorization: Bearer</code>. Lost or leaked:
        make another, then revoke the old one.
      </p>
      {wrong && (
        <p class="error" role="alert">
          {wrong}
        </p>
      )}
      {made && <Secret title={`The key ${made.name}.`} text={made.key} done={() => setMade(null)} />}
      <ul class="entries">
        {value?.map((key) => (
          <KeyRow key={key.id} of={key} revoke={() => confirm(`Revoke ${key.name}? Whoever uses it is shut out at once, for good.`) && void attempt(() => revokeKey(key.id))()} />
        ))}
        {value?.length === 0 && <li class="quiet">There is none: only this machine's own users get in.</li>}
      </ul>
      <NewKey make={(name, scopes, days) => attempt(async () => setMade(await makeKey(name, scopes, days)))()} />
    </section>
  );
}

/** Why a key opens nothing any more. */
function over(key: Key): string | null {
  if (key.revoked_at) return `revoked ${ago(key.revoked_at)}`;
  return key.expires_at && Date.parse(key.expires_at) < Date.now() ? `expired ${ago(key.expires_at)}` : null;
}

function KeyRow({ of: key, revoke }: { of: Key; revoke: () => void }) {
  const ended = over(key);
  const until = key.expires_at ? `until ${new Date(key.expires_at).toLocaleDateString()}` : "does not expire";
  const used = key.last_used_at ? `used ${ago(key.last_used_at)}` : "never used";
  return (
    <li class="entry" data-key={key.id} data-over={ended !== null}>
      <div>
        <b>{key.name}</b> <code>trm_{key.prefix}…</code>
        <p class="quiet">{[key.scopes.join(", "), ended ?? until, used, `made ${ago(key.created_at)}`].join(" · ")}</p>
      </div>
      {!ended && (
        <button type="button" onClick={revoke} aria-label={`Revoke ${key.name}`}>
          Revoke
        </button>
      )}
    </li>
  );
}

function NewKey({ make }: { make: (name: string, scopes: Scope[], days: number | null) => Promise<boolean> }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<Scope[]>(["read", "submit", "play"]);
  const [lasts, setLasts] = useState(1);
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    if (await make(name, scopes, LASTS[lasts]![1])) setName("");
  };
  return (
    <form class="new-entry" onSubmit={(e) => void submit(e)} aria-label="New API key">
      <label class="field">
        <span>Name: who or what uses it</span>
        <input name="key-name" required maxLength={100} autocomplete="off" value={name} onInput={(e) => setName(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Valid for</span>
        <select name="lasts" onChange={(e) => setLasts(e.currentTarget.selectedIndex)}>
          {LASTS.map(([text], i) => (
            <option key={text} selected={i === lasts}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <fieldset class="choices">
        <legend class="quiet">It may</legend>
        {SCOPES.map(([scope, what]) => (
          <label class="check" key={scope}>
            <input
              type="checkbox"
              checked={scopes.includes(scope)}
              onChange={() => setScopes((now) => (now.includes(scope) ? now.filter((s) => s !== scope) : [...now, scope]))}
            />
            <span>
              {scope}: <span class="quiet">{what}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <button type="submit" class="primary" disabled={!scopes.length}>
        Make a key
      </button>
    </form>
  );
}
