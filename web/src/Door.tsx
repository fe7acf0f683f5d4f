// Entering an API key, where the gateway asks for one.

import { useEffect, useState } from "preact/hooks";
import { enter, Problem } from "./api";

/** The key that `terrarium up` put behind the # of its link, which no server sees; taken out of the address bar. */
export function keyOfLink(): string | null {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) history.replaceState(null, "", location.pathname + location.search);
  return key;
}

export function Door() {
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState("");
  useEffect(() => {
    document.title = "API key · Terrarium";
  }, []);
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    try {
      await enter(key.trim());
    } catch (reason) {
      setProblem(reason instanceof Problem ? reason.message : String(reason));
    }
  };
  return (
    <main class="page">
      <form class="card door" onSubmit={(e) => void submit(e)}>
        <h1>API key</h1>
        <p class="quiet">
          This Terrarium lets in who has a key. <code>terrarium keys create NAME</code> makes one on its machine.
        </p>
        <label class="field">
          <span>Key</span>
          <input
            type="password"
            name="key"
            autocomplete="current-password"
            required
            value={key}
            onInput={(e) => setKey(e.currentTarget.value)}
          />
        </label>
        {problem && (
          <p class="error" role="alert">
            {problem}
          </p>
        )}
        <button class="primary" type="submit">
          Enter
        </button>
      </form>
    </main>
  );
}
