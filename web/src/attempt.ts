// What a button asks of the server.

import { useState } from "preact/hooks";
import { Problem } from "./api";

/** `attempt(what)` is a handler that does `what`, then `done`, and resolves to whether it went well; what the server
 *  refused is `problem` until the next attempt, in words that name each field. */
export function useAttempt(done: () => void = () => undefined) {
  const [problem, setProblem] = useState("");
  const attempt = (what: () => Promise<unknown>) => async (): Promise<boolean> => {
    try {
      setProblem("");
      await what();
      done();
      return true;
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setProblem([reason.message, ...Object.entries(reason.fields).map(([name, what]) => `${name}: ${what}`)].join(" "));
      return false;
    }
  };
  return { attempt, problem };
}
