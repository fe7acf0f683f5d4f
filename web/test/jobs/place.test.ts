import { describe, expect, it } from "vitest";
import { ordinal } from "../../src/format";
import { inWords, placesOf } from "../../src/jobs/place";

const place = (starts_in_s: number | null) => ({ id: "a", queue: "cpu", position: 3, starts_in_s });

describe("a place in line", () => {
  it("counts as people do", () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 22, 103, 111].map(ordinal)).toEqual(
      ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "103rd", "111th"],
    );
  });

  it("says when it is known, and nothing where it is not", () => {
    expect(inWords(place(125), false)).toBe("3rd in line for cpu, starts in about 2 min 05 s");
    expect(inWords(place(null), false)).toBe("3rd in line for cpu");
    expect(inWords(place(null), true)).toBe("3rd in line for cpu, which is paused");
  });

  it("is found by the job", () => {
    const queue = { name: "cpu", paused_at: null, queued: 1, running: [], first: [place(0)] };
    expect(placesOf([queue]).get("a")).toBe("3rd in line for cpu, starts next");
  });
});
