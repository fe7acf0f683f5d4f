import { expect, it } from "vitest";
import type { Artifact } from "../../src/api";
import { byName } from "../../src/jobs/artifacts";

it("gives each name its history, oldest first", () => {
  const artifact = (id: string, name: string, created_at: string): Artifact => ({
    id,
    name,
    created_at,
    media_type: "image/png",
    caption: "",
    role: "preview",
    size: 1,
    sha256: "",
  });
  const found = byName([artifact("2", "walk", "2026-01-02"), artifact("1", "walk", "2026-01-01"), artifact("3", "long", "2026-01-03")]);
  expect(found.map(([name, history]) => [name, history.map((a) => a.id)])).toEqual([
    ["walk", ["1", "2"]],
    ["long", ["3"]],
  ]);
});
