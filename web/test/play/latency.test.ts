import { describe, expect, it } from "vitest";
import { Latency, Rate } from "../../src/play/latency";

describe("latency", () => {
  it("counts from an input to the first drawn frame that answers it or a newer one", () => {
    const latency = new Latency();
    latency.sent(3, 100);
    latency.sent(5, 120);
    latency.drawn(2, 130);
    expect(latency.count).toBe(0);
    latency.drawn(3, 140);
    expect(latency.percentile(0.5)).toBe(40);
    latency.drawn(9, 180);
    latency.drawn(10, 999);
    expect(latency.count).toBe(2);
    expect(latency.percentile(0.99)).toBe(60);
    expect(latency.percentile(0.5)).toBe(40);
  });

  it("is unknown before the first sample and forgets what a lost connection left open", () => {
    const latency = new Latency();
    expect(latency.percentile(0.5)).toBeNull();
    latency.sent(40, 0);
    latency.forget();
    latency.drawn(50, 1e6);
    expect(latency.count).toBe(0);
  });

  it("measures frames a second, and none after two silent seconds", () => {
    const rate = new Rate();
    for (let t = 0; t <= 3000; t += 50) rate.tick(t);
    expect(rate.perSecond(3000)).toBeCloseTo(20);
    expect(rate.perSecond(6000)).toBe(0);
  });
});
