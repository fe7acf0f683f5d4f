// What a button asks of the server.

import { useState } from "preact/hooks";
import type { Problem } from "./api";

/** `attempt(what)` is a handler that does `what`, then `done`; what went wrong is `problem` until the next attempt. */
export function useAttempt(done: () => void = () => undefined) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const attempt = (what: () => Promise<unknown>) => async (): Promise<void> => {
    try {
      setProblem(null);
      await what();
      done();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return { attempt, problem };
}
