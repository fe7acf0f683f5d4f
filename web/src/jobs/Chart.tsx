import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Series } from "../api";
import { figures, label } from "../format";
import { align, groups } from "./align";

const HEIGHT_PX = 150;
const COLOURS = ["--moss", "--clay", "--sky"];

export function Charts({ series }: { series: Series }) {
  return (
    <div class="charts">
      {groups(series).map(([title, keys]) => (
        <Chart key={`${title} ${keys.length}`} title={title} keys={keys} series={series} />
      ))}
    </div>
  );
}

function Chart({ title, keys, series }: { title: string; keys: string[]; series: Series }) {
  const [log, setLog] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useDark();
  const data = align(keys.map((key) => series[key] ?? []));
  const dots = keys.map((key) => (series[key]?.length ?? 0) < 3); // a line of one point would not be seen
  const canLog = title.includes("loss") && keys.every((key) => series[key]?.every(([, y]) => y > 0));

  useEffect(() => {
    const el = box.current!;
    plot.current = new uPlot(options(el, keys, dots, log && canLog), data, el);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: el.clientWidth, height: HEIGHT_PX }));
    observer.observe(el);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [log, canLog, dark, dots.join()]);
  useEffect(() => plot.current?.setData(data), [series]);

  const last = keys.map((key) => series[key]?.at(-1)?.[1]).map(figures);
  return (
    <section class="card chart" aria-label={`${title}: now ${last.join(", ")}`}>
      <h3>
        {label(title)}
        <span class="now">
          {keys.map((key, i) => (
            <b key={key} style={{ color: `var(${COLOURS[i % COLOURS.length]})` }}>
              {keys.length > 1 && `${key.startsWith("val") ? "val " : ""}`}
              {last[i]}
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

function options(el: HTMLElement, keys: string[], dots: boolean[], log: boolean): uPlot.Options {
  const css = getComputedStyle(el);
  const colour = (name: string): string => css.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour("--muted"),
    font: `12px ${css.fontFamily}`,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: el.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false },
    scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
    axes: [{ ...axis, size: 24 }, { ...axis, size: 48, values: (_, ticks) => ticks.map((t) => (t === null ? "" : figures(t))) }],
    series: [
      {},
      ...keys.map((key, i) => ({
        label: key,
        stroke: colour(COLOURS[i % COLOURS.length]!),
        width: 2,
        spanGaps: true,
        points: { show: dots[i]! },
      })),
    ],
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
