import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { clock, figures, label } from "../format";
import { align, valueAt, type Axis, type Line } from "./curves";

const HEIGHT_PX = 150;
export const COLOURS = ["--moss", "--clay", "--sky", "--plum", "--ink"];

interface Props {
  title: string;
  lines: Line[];
  axis: Axis;
  compared: boolean; // lines of several runs: a colour a run, else a colour a key
}

const isVal = (line: Line): boolean => line.key.startsWith("val");

export function Chart({ title, lines, axis, compared }: Props) {
  const [log, setLog] = useState(false);
  const [hovered, hover] = useState<number | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useDark();
  const keys = [...new Set(lines.map((line) => line.key))];
  const data = align(lines.map((line) => line.points));
  const canLog = title.includes("loss") && lines.every((line) => line.points.every(([, y]) => y > 0));
  const colour = (line: Line): string => COLOURS[(compared ? line.run : keys.indexOf(line.key)) % COLOURS.length]!;
  // What a plot is made of; its data alone is changed in place.
  const shape = JSON.stringify([lines.map((l) => [l.key, l.run, l.points.length < 3]), axis, log && canLog, dark, compared]);

  useEffect(() => {
    const el = box.current!;
    const drawn = lines.map((line) => ({
      label: line.key,
      stroke: getComputedStyle(el).getPropertyValue(colour(line)).trim(),
      width: 2,
      ...(compared && keys.length > 1 && isVal(line) ? { dash: [6, 4] } : {}),
      spanGaps: true,
      points: { show: line.points.length < 3 }, // a line of one point would not be seen
    }));
    plot.current = new uPlot(options(el, drawn, axis, log && canLog, hover), data, el);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: el.clientWidth, height: HEIGHT_PX }));
    observer.observe(el);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [lines]);

  const at = hovered !== null && hovered < data[0].length ? hovered : data[0].length - 1;
  const values = data.slice(1).map((column) => valueAt(column, at));
  const place = data[0][at];
  return (
    <section class="card chart" aria-label={`${title}: now ${values.map((v) => figures(v)).join(", ")}`}>
      <h3>
        {label(title)}
        {hovered !== null && place !== undefined && (
          <span class="quiet">{axis === "step" ? `step ${figures(place)}` : clock(place)}</span>
        )}
        <span class="now">
          {lines.map((line, i) => (
            <b key={`${line.run} ${line.key}`} style={{ color: `var(${colour(line)})` }}>
              {keys.length > 1 && isVal(line) && "val "}
              {values[i] === null ? "–" : figures(values[i])}
            </b>
          ))}
        </span>
        {canLog && (
          <button type="button" class="small" aria-pressed={log} onClick={() => setLog(!log)}>
            log
          </button>
        )}
      </h3>
      <div ref={box} class="plot" aria-hidden="true" />
    </section>
  );
}

function options(
  el: HTMLElement,
  drawn: uPlot.Series[],
  on: Axis,
  log: boolean,
  hover: (index: number | null) => void,
): uPlot.Options {
  const css = getComputedStyle(el);
  const colour = (name: string): string => css.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour("--muted"),
    font: `12px ${css.fontFamily}`,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  const x: uPlot.Axis = { ...axis, size: 24 };
  if (on === "time") x.values = (_, ticks) => ticks.map((t) => clock(t));
  return {
    width: el.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, sync: { key: "curves" } },
    hooks: { setCursor: [(u) => hover(u.cursor.idx ?? null)] },
    scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
    axes: [x, { ...axis, size: 48, values: (_, ticks) => ticks.map((t) => (t === null ? "" : figures(t))) }],
    series: [{}, ...drawn],
  };
}

function useDark(): boolean {
  const [media] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [dark, setDark] = useState(media.matches);
  useEffect(() => {
    const look = (): void => setDark(media.matches);
    media.addEventListener("change", look);
    return () => media.removeEventListener("change", look);
  }, []);
  return dark;
}
