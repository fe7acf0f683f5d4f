// A material on a shape, with the lamp and the surroundings that the person moves.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Asset } from "../api";
import { label } from "../format";
import type { Lamp, Shape, Stage, Surroundings } from "./stage";

const SHAPES: Shape[] = ["sphere", "cube", "plane", "wall"];
const AROUND: Surroundings[] = ["sky", "room", "night"];
const LAMP: Lamp = { around: -40, up: 45, strength: 3 };

/** `truth`: the material that it should be like, to be looked at in its place. */
export function Preview({ asset, truth }: { asset: Asset; truth: Asset | null }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [stage, setStage] = useState<Stage | null>(null);
  const [shape, setShape] = useState<Shape>("sphere");
  const [around, setAround] = useState<Surroundings>("sky");
  const [lamp, setLamp] = useState(LAMP);
  const [seesTruth, seeTruth] = useState(false);
  const [problem, setProblem] = useState("");
  const shown = seesTruth && truth ? truth : asset;

  useEffect(() => {
    let made: Stage | null = null;
    let gone = false;
    const start = async (): Promise<void> => {
      const { Stage } = await import("./stage"); // brings three.js
      if (gone) return;
      setStage((made = new Stage(canvas.current!)));
    };
    start().catch((e) => setProblem(`This material cannot be drawn: ${e instanceof Error ? e.message : e}`));
    return () => {
      gone = true;
      made?.dispose();
    };
  }, []);
  useEffect(() => {
    if (!stage) return;
    let gone = false;
    const load = async (): Promise<void> => {
      const { surfaceOfAsset } = await import("./surface");
      const surface = await surfaceOfAsset(shown);
      if (gone) surface.dispose();
      else stage.wear(surface);
    };
    load().catch(() => setProblem("The maps of this material could not be loaded."));
    return () => void (gone = true);
  }, [stage, shown.id]);
  useEffect(() => stage?.show(shape), [stage, shape]);
  useEffect(() => stage?.surround(around), [stage, around]);
  useEffect(() => stage?.light(lamp), [stage, lamp]);

  const slider = (field: keyof Lamp, name: string, min: number, max: number, step: number) => (
    <label class="field">
      <span>{name}</span>
      <input type="range" min={min} max={max} step={step} value={lamp[field]} onInput={(e) => setLamp({ ...lamp, [field]: e.currentTarget.valueAsNumber })} />
    </label>
  );
  return (
    <div class="preview-stage">
      <div class="glass">
        <canvas ref={canvas} id="material" tabIndex={0} role="img" aria-label={`${shown.name} on a ${shape}. Drag to turn it.`} data-shape={shape} />
        {problem && <p class="notice">{problem}</p>}
      </div>
      <aside class="card lighting" aria-label="Preview">
        <Segments name="shape" title="On a" of={SHAPES} chosen={shape} choose={setShape} />
        {truth && <Segments name="whose" title="Show" of={["found", "truth"]} chosen={seesTruth ? "truth" : "found"} choose={(which) => seeTruth(which === "truth")} />}
        <Segments name="around" title="Surroundings" of={AROUND} chosen={around} choose={setAround} />
        {slider("around", "Lamp, around", -180, 180, 1)}
        {slider("up", "Lamp, height", -10, 90, 1)}
        {slider("strength", "Lamp, strength", 0, 8, 0.1)}
      </aside>
    </div>
  );
}

interface SegmentsProps<T extends string> {
  name: string;
  title: string;
  of: readonly T[];
  chosen: T;
  choose: (one: T) => void;
}

export function Segments<T extends string>({ name, title, of, chosen, choose }: SegmentsProps<T>) {
  return (
    <fieldset class="segments">
      <legend>{title}</legend>
      {of.map((one) => (
        <label key={one}>
          <input type="radio" name={name} checked={one === chosen} onChange={() => choose(one)} />
          <span>{label(one)}</span>
        </label>
      ))}
    </fieldset>
  );
}
