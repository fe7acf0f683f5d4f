import { describe, expect, it } from "vitest";
import type { Candidate } from "../../src/api";
import { choose, fitting, leftOut, type Offers } from "../../src/jobs/candidates";
import type { Field } from "../../src/jobs/schema";

const candidate = (id: string, misfits: Record<string, string> = {}): Candidate => ({
  id,
  type: "tokenizer",
  name: id,
  created_at: "2026-01-01T00:00:00Z",
  misfits,
});

const field = (name: string, required: boolean, many = false): Field => ({
  name,
  type: "input",
  choices: [],
  many,
  texts: false,
  group: "",
  inputs: ["dataset"],
  help: "",
  required,
  initial: "",
});

const SIZE = "was trained on frames of 64x64, the dataset has 32x32";
const OFFERS: Offers = {
  data: [candidate("small", { tokenizer: SIZE }), candidate("large"), candidate("odd", { data: "has frames of 30x30" })],
  tokenizer: [candidate("t64", { tokenizer: SIZE }), candidate("t32"), candidate("t16", { tokenizer: "is another" })],
};

describe("what a form offers", () => {
  it("is what fits, and the rest is counted with a reason", () => {
    expect(fitting(OFFERS, "tokenizer").map((c) => c.id)).toEqual(["t32"]);
    expect(leftOut(OFFERS, "tokenizer")).toBe(`2 do not fit, one ${SIZE}.`);
    expect(leftOut(OFFERS, "data")).toBe("1 does not fit: it has frames of 30x30.");
    expect(leftOut(OFFERS, "start")).toBe("");
  });

  it("keeps a choice while it fits", () => {
    expect(choose(OFFERS, field("tokenizer", false), "t32")).toBe("t32");
    expect(choose(OFFERS, field("tokenizer", false), "t64")).toBe("");
    expect(choose({}, field("tokenizer", false), "t64")).toBe("t64"); // nothing known yet
  });

  it("takes for a needed field the newest that rules out nothing else", () => {
    expect(choose(OFFERS, field("data", true), "")).toBe("large");
    expect(choose(OFFERS, field("data", true), "small")).toBe("small");
    expect(choose({ data: [OFFERS["data"]![0]!] }, field("data", true), "")).toBe("small");
    expect(choose({ data: [] }, field("data", true), "gone")).toBe("");
  });

  it("keeps those of many that fit", () => {
    expect(choose(OFFERS, field("data", true, true), "large,odd,small")).toBe("large,small");
  });
});
