// A world as files for other programs: map.json, glTF, and pictures from all around with their cameras.

import { useState } from "preact/hooks";
import { captureSet } from "./capture";
import { mapText } from "./map";
import type { Workshop } from "./workshop";

const COUNTS = [8, 16, 24, 48];
const SIDES = [128, 256, 512, 1024];

function offer(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function Files({ shop, name }: { shop: Workshop; name: string }) {
  const [count, setCount] = useState(24);
  const [side, setSide] = useState(512);
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  const make = async (what: string, blob: () => Promise<Blob>): Promise<void> => {
    setBusy(what);
    setProblem("");
    try {
      offer(await blob(), `${name}${what}`);
    } catch (e) {
      setProblem(e instanceof Error ? e.message : String(e));
    }
    setBusy("");
  };
  const views = async (): Promise<Blob> => {
    const { Photographer } = await import("./viewer");
    const photographer = new Photographer(shop.map);
    try {
      return await captureSet(shop.map, count, side, (camera, pixels) => photographer.draw(camera, pixels));
    } finally {
      photographer.dispose();
    }
  };
  return (
    <section>
      <h2>Files</h2>
      <div class="row">
        <button type="button" onClick={() => void make(".map.json", async () => new Blob([mapText(shop.map)], { type: "application/json" }))}>
          map.json
        </button>
        <button type="button" disabled={Boolean(busy)} onClick={() => void make(".glb", async () => (await import("./gltf")).glbOf(shop.map))}>
          glTF (.glb)
        </button>
      </div>
      <div class="row views">
        <label class="field">
          <span>Views</span>
          <select name="views" onChange={(e) => setCount(Number(e.currentTarget.value))}>
            {COUNTS.map((n) => (
              <option key={n} value={n} selected={n === count}>
                {n}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Pixels</span>
          <select name="pixels" onChange={(e) => setSide(Number(e.currentTarget.value))}>
            {SIDES.map((n) => (
              <option key={n} value={n} selected={n === side}>
                {n}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          disabled={Boolean(busy)}
          title="A zip of pictures from all around, and metadata.json with the cameras that took them"
          onClick={() => void make("-views.zip", views)}
        >
          {busy === "-views.zip" ? "Capturing…" : "Capture"}
        </button>
      </div>
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
