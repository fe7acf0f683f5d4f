import { useEffect, useState } from "preact/hooks";
import { Problem } from "./api";

export interface Polled<T> {
  value: T | null;
  error: Problem | null;
  refresh: () => void;
}

/** Asks at once, every `every_ms` while the page is visible, and when `about` changes. The last good value stays
 *  through an error. */
export function usePoll<T>(ask: () => Promise<T>, every_ms: number, about = ""): Polled<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [nudge, setNudge] = useState(0);
  useEffect(() => {
    let gone = false;
    let timer = 0;
    const turn = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const answer = await ask();
          if (gone) return;
          setValue(answer);
          setError(null);
        } catch (e) {
          if (gone) return;
          setError(e instanceof Problem ? e : new Problem(0, "client", String(e)));
        }
      }
      timer = window.setTimeout(() => void turn(), every_ms);
    };
    void turn();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [nudge, about]);
  return { value, error, refresh: () => setNudge((n) => n + 1) };
}
