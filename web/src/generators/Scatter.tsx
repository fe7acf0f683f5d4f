// Every measurement of some runs: reward against what it costs. A point can be chosen.

import { useEffect, useRef, useState } from "preact/hooks";
import { COLOURS } from "../jobs/Chart";
import { figures } from "../format";
import { axisOf, front, limitOf, type Cost, type Place, type Row, type Run } from "./pareto";

const HEIGHT_PX = 310;
const LEFT_PX = 54;
const RIGHT_PX = 14;
const TOP_PX = 26;
const BOTTOM_PX = 44;
const LOOKED_PX = 210; // width of what is said of the point under the mouse, and its distance

export const AXES: Record<Cost, string> = { fd: "Fréchet distance, less is better", diversity: "Diversity, more is better" };

interface Props {
  cost: Cost;
  runs: Run[]; // the first one's budget is shown
  chosen: Place;
  choose: (place: Place) => void;
}

interface Mark {
  run: number;
  row: Row;
}

export function Scatter({ cost, runs, chosen, choose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const [looked, look] = useState<Mark | null>(null);
  const marks: Mark[] = runs.flatMap(({ rows }, run) => (run ? rows.slice(1) : rows).map((row) => ({ run, row })));
  const costs = marks.map(({ row }) => row[cost]);
  const limit = limitOf(runs[0]!, cost);
  const near = limit > Math.min(...costs) / 2 && limit < 2 * Math.max(...costs); // a budget far away would squeeze the rest
  const x = axisOf(near ? [...costs, limit] : costs);
  const y = axisOf(marks.map(({ row }) => row.reward));
  const left = (row: Row): number => px(row[cost]);
  const px = (value: number): number => LEFT_PX + x.at(value) * (width - LEFT_PX - RIGHT_PX);
  const py = (value: number): number => TOP_PX + (1 - y.at(value)) * (HEIGHT_PX - TOP_PX - BOTTOM_PX);
  const line = (rows: Row[]): string => rows.map((row, i) => `${i ? "L" : "M"}${left(row).toFixed(1)} ${py(row.reward).toFixed(1)}`).join("");
  const name = ({ run, row }: Mark): string => (row.step ? `${runs[run]!.job.name}, step ${row.step}` : "the base");
  const bottom = HEIGHT_PX - BOTTOM_PX;
  return (
    <figure class="card scatter">
      <div ref={box} class="scatter-box" style={{ height: `${HEIGHT_PX}px` }}>
        {width > 0 && (
          <svg width={width} height={HEIGHT_PX} aria-hidden="true">
            {near && (cost === "fd" ? (
              <rect class="beyond" x={px(limit)} y={TOP_PX} width={width - RIGHT_PX - px(limit)} height={bottom - TOP_PX} />
            ) : (
              <rect class="beyond" x={LEFT_PX} y={TOP_PX} width={px(limit) - LEFT_PX} height={bottom - TOP_PX} />
            ))}
            {y.ticks.map((tick) => (
              <g key={tick}>
                <line class="grid" x1={LEFT_PX} x2={width - RIGHT_PX} y1={py(tick)} y2={py(tick)} />
                <text x={LEFT_PX - 8} y={py(tick) + 4} text-anchor="end">
                  {figures(tick)}
                </text>
              </g>
            ))}
            {x.ticks.map((tick) => (
              <g key={tick}>
                <line class="grid" x1={px(tick)} x2={px(tick)} y1={TOP_PX} y2={bottom} />
                <text x={px(tick)} y={bottom + 17} text-anchor="middle">
                  {figures(tick)}
                </text>
              </g>
            ))}
            <text x={LEFT_PX - 8} y={14} text-anchor="end">
              Reward
            </text>
            <text x={(LEFT_PX + width - RIGHT_PX) / 2} y={HEIGHT_PX - 6} text-anchor="middle">
              {AXES[cost]}
            </text>
            <path class="front" d={line(front(marks.map(({ row }) => row), cost))} />
            {runs.map(({ job, rows }, run) => (
              <path key={job.id} class="course" d={line(rows)} style={{ stroke: `var(${COLOURS[run]})` }} />
            ))}
          </svg>
        )}
        {width > 0 && marks.map((mark) => {
          const { job, best } = runs[mark.run]!;
          const { step } = mark.row;
          return (
            <button
              key={`${job.id} ${step}`}
              type="button"
              class="point"
              data-step={step}
              data-base={step === 0 || undefined}
              data-best={(step > 0 && step === best) || undefined}
              aria-pressed={chosen.job === job.id && chosen.step === step}
              aria-label={`${name(mark)}: reward ${figures(mark.row.reward)}, ${AXES[cost].split(",")[0]} ${figures(mark.row[cost])}`}
              style={{ left: `${left(mark.row)}px`, top: `${py(mark.row.reward)}px`, color: `var(${COLOURS[mark.run]})` }}
              onClick={() => choose({ job: job.id, step })}
              onMouseEnter={() => look(mark)}
              onMouseLeave={() => look(null)}
              onFocus={() => look(mark)}
              onBlur={() => look(null)}
            />
          );
        })}
        {looked && (
          <div class="card looked" style={{ left: `${Math.min(left(looked.row), width - LOOKED_PX)}px`, top: `${py(looked.row.reward)}px` }}>
            <b>{name(looked)}</b>
            <span>reward {figures(looked.row.reward)}</span>
            <span>Fréchet distance {figures(looked.row.fd)}</span>
            <span>diversity {figures(looked.row.diversity)}</span>
            <span>class accuracy {figures(looked.row.class_accuracy)}</span>
          </div>
        )}
      </div>
    </figure>
  );
}

function useWidth(box: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(() => setWidth(box.current?.clientWidth ?? 0));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  return width;
}
