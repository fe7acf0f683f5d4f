import { describe, expect, it } from "vitest";
import { fieldErrors } from "../src/api";

describe("problem+json", () => {
  it("finds the fields that a problem speaks of", () => {
    expect(fieldErrors([{ loc: ["body", "tokenizer.train", "steps"], msg: "too many" }])).toEqual({ steps: "too many" });
    expect(fieldErrors([{ loc: ["body", "levels", 0], msg: "too small" }])).toEqual({ levels: "too small" });
    expect(fieldErrors(undefined)).toEqual({});
  });
});
