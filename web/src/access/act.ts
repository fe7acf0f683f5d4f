// An action of a button, and what was wrong with the newest one.

import { useState } from "preact/hooks";
import { Problem } from "../api";

/** `act(work)` does it and then calls `after`; `problem` is what the server refused, in words. */
export function useAct(after: () => void): { problem: string; act: (work: () => Promise<unknown>) => Promise<void> } {
  const [problem, setProblem] = useState("");
  const act = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      setProblem("");
      await work();
      after();
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setProblem([reason.message, ...Object.entries(reason.fields).map(([name, what]) => `${name}: ${what}`)].join(" "));
    }
  };
  return { problem, act };
}
