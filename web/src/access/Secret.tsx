// A text that the server shows once: read it, copy it, put it away.

import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
  title: string;
  text: string;
  done: () => void;
}

export function Secret({ title, text, done }: Props) {
  const [copied, setCopied] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), [text]);
  const copy = async (): Promise<void> => {
    field.current!.select();
    // Beyond localhost plain HTTP has no clipboard; then the selection is there to be copied.
    await navigator.clipboard?.writeText(text).then(() => setCopied(true), () => undefined);
  };
  return (
    <div class="secret" role="status">
      <p>
        <b>{title}</b> It is shown now and never again.
      </p>
      <div class="row">
        <input readOnly aria-label={title} ref={field} value={text} />
        <button type="button" class="primary" onClick={() => void copy()}>
          {copied ? "Copied" : "Copy"}
        </button>
        <button type="button" onClick={done}>
          Done
        </button>
      </div>
    </div>
  );
}
