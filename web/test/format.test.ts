import { describe, expect, it } from "vitest";
import { ago, clock, duration, figures, label } from "../src/format";

describe("format", () => {
  it("reads times on an axis", () => expect([0, 200, 3800].map(clock)).toEqual(["0:00", "3:20", "1:03:20"]));

  it("says times as people do", () => {
    expect([0.4, 59, 61, 3725, 90_000].map(duration)).toEqual(["0 s", "59 s", "1 min 01 s", "1 h 02 min", "1 d 1 h"]);
    const now = Date.parse("2024-05-01T12:00:00Z");
    expect(ago("2024-05-01T11:57:00Z", now)).toBe("3 min ago");
    expect(ago(null)).toBe("–");
  });

  it("keeps the figures that matter", () => {
    expect([1500, 0.123456, 0.00001234, 3, true].map(figures)).toEqual(["1,500", "0.1235", "1.23e-5", "3", "true"]);
  });

  it("spells out names", () => {
    expect([label("val_psnr"), label("lr"), label("checkpoint_every_s")]).toEqual(["Validation PSNR", "Learning rate", "Checkpoint every s"]);
  });
});
