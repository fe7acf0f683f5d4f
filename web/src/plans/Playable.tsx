// The button that makes a plan of jobs: from words, or from a world, to a world model that plays in it.

import { useState } from "preact/hooks";
import { makePlayable, newKey, Problem, type Playable } from "../api";
import { go } from "../router";

const PRESETS: Record<Playable["preset"], string> = {
  cpu: "on a CPU",
  small: "larger, on a GPU",
  debug: "seconds, to try it out",
};

/** `from`: a prompt, which may still be empty, or a world. */
export function PlayableButton({ title, from }: { title: string; from: { prompt: string } | { world: string } }) {
  const [preset, setPreset] = useState<Playable["preset"]>("cpu");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const press = async (): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      go(`/plans/${(await makePlayable({ ...from, preset }, newKey())).id}`);
    } catch (e) {
      setProblem(e instanceof Problem ? e.message : String(e));
      setBusy(false);
    }
  };
  return (
    <span class="playable">
      <button type="button" disabled={busy || ("prompt" in from && !from.prompt.trim())} onClick={press}>
        {busy ? "Submitting…" : title}
      </button>
      <label>
        <span class="unseen">How: {title.toLowerCase()}</span>
        <select name="playable-preset" value={preset} onChange={(e) => setPreset(e.currentTarget.value as typeof preset)}>
          {Object.entries(PRESETS).map(([name, what]) => (
            <option key={name} value={name}>
              {name}: {what}
            </option>
          ))}
        </select>
      </label>
      {problem && (
        <span class="error" role="alert">
          {problem}
        </span>
      )}
    </span>
  );
}
