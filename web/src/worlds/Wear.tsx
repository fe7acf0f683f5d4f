// What the chosen type of blocks wears: one of the library's materials, or its own plain colours.

import { useState } from "preact/hooks";
import { getAsset, listAssets } from "../api";
import { coatOf } from "../materials/picture";
import { usePoll } from "../poll";
import { spoken } from "./palette";
import type { Workshop } from "./workshop";

const MOST = 100;

export function Wear({ shop }: { shop: Workshop }) {
  const materials = usePoll(() => listAssets({ type: "material" }, MOST), 10_000).value?.items ?? [];
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const type = shop.type.value;
  const worn = shop.coats.value.get(type);
  const elsewhere = worn && !materials.some(({ id }) => id === worn.material);
  const choose = async (id: string): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      shop.wear(type, id ? await coatOf(await getAsset(id)) : null);
    } catch (e) {
      setProblem(e instanceof Error ? e.message : String(e));
    }
    setBusy(false);
  };
  if (!materials.length && !worn) {
    return (
      <p class="quiet">
        Blocks can wear <a href="/materials">materials</a>: there is none yet.
      </p>
    );
  }
  return (
    <label class="field">
      <span>{spoken(type)} wears</span>
      <select name="wears" disabled={busy} onChange={(e) => void choose(e.currentTarget.value)}>
        <option value="" selected={!worn}>
          nothing, its own colour
        </option>
        {elsewhere && (
          <option value={worn.material} selected>
            {worn.name}, which is not here
          </option>
        )}
        {materials.map(({ id, name }) => (
          <option key={id} value={id} selected={id === worn?.material}>
            {name}
          </option>
        ))}
      </select>
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </label>
  );
}
