// A zip of a dataset, tokenizer or world model, chosen here, becomes an asset.

import { useRef, useState } from "preact/hooks";
import { Problem, uploadAsset, type Asset } from "../api";

type State = { file: File; share: number } | { added: Asset } | { problem: Problem } | null;

export function Upload({ done }: { done: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  const [state, set] = useState<State>(null);
  const busy = state !== null && "file" in state;
  const send = async (file: File): Promise<void> => {
    set({ file, share: 0 });
    try {
      set({ added: await uploadAsset(file, (share) => set({ file, share })) });
      done();
    } catch (e) {
      set({ problem: e instanceof Problem ? e : new Problem(0, "client", String(e)) });
    }
  };
  return (
    <span class="actions upload">
      {state && <Said state={state} />}
      <input
        ref={input}
        type="file"
        accept=".zip,application/zip"
        aria-label="Zip to upload"
        hidden
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          e.currentTarget.value = ""; // the same file may be chosen again
          if (file) void send(file);
        }}
      />
      <button
        type="button"
        disabled={busy}
        title="A zip of a dataset, a tokenizer or a world model, such as Download gives"
        onClick={() => input.current?.click()}
      >
        Upload
      </button>
    </span>
  );
}

function Said({ state }: { state: NonNullable<State> }) {
  if ("problem" in state) {
    return (
      <span class="error" role="alert" data-code={state.problem.code}>
        {state.problem.message}
      </span>
    );
  }
  if ("added" in state) {
    return (
      <span role="status">
        In the library: <a href={`/library/${state.added.id}`}>{state.added.name}</a>
      </span>
    );
  }
  const sent = state.share === 1;
  return (
    <label class="upload-progress">
      <span class="quiet">{sent ? `Checking ${state.file.name}` : `Uploading ${state.file.name}`}</span>
      <progress max={1} value={sent ? undefined : state.share} />
    </label>
  );
}
