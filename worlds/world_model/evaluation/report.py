"""The evaluation as one HTML file that needs nothing beside it: tables, curves as SVG, strips as embedded PNGs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from terrarium.worlds.durable import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
body { color: #1c2420; background: #fbfaf6 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem } p { max-width: 46rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } caption { text-align: left; color: #55605a }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #dcdcd2 } th:first-child { text-align: left }
.low { background: #f6d9c8 } .curves { display: flex; flex-wrap: wrap; gap: 1.5rem }
figure { margin: 0 } figcaption { color: #55605a }
img { max-width: 100%; image-rendering: pixelated } svg text { font: 11px system-ui, sans-serif; fill: #55605a }
.wide { overflow-x: auto; margin: 1rem 0 }
"""
COLOURS = ("#1f7a4d", "#8a8f88", "#c2622d")
WIDTH, HEIGHT, PAD = 340, 170, 36  # of a chart, in pixels
GOOD_SHARE = 0.8  # of the judge's ceiling


def write_report(result: Mapping[str, Any], out: Path) -> None:
    """`out` holds rollouts.png, long.png and sheet.png; writes evaluation.json and report.html beside them."""
    strips = {n: (out / f"{n}.png").read_bytes() for n in ("rollouts", "long", "sheet")}
    write_text(out / "report.html", page(result, strips))
    write_text(out / "evaluation.json", json.dumps(result, indent=1, allow_nan=False))


def page(result: Mapping[str, Any], strips: Mapping[str, bytes]) -> str:
    """`strips`: PNGs named rollouts, long and sheet."""
    parts = [
        f"<h1>World model {escape(result['checkpoint_sha256'][:12])}</h1>",
        f"<p>{result['episodes']} held-out states, seed {result['seed']}; "
        f"codes are drawn at temperature {result['temperature']}, as in live play.</p>",
        "<h2>Control</h2>",
        _retrieval(result),
        _judge(result),
        "<h2>Pictures</h2>",
        _pictures(result),
        "<h2>Realism</h2>",
        _realism(result),
        "<h2>Curves</h2>",
        _curves(result),
        "<h2>Motion, memory, stability</h2>",
        _summary(result),
        "<h2>Rollouts, the model above the simulator</h2>",
        _strip("Sixteen steps, frame by frame", strips["rollouts"]),
        _strip("Steps 1, 8, 32, 64, 128, 256 and 512", strips["long"]),
        _strip("Walks as they came, the same steps", strips["sheet"]),
    ]
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head = f"{meta}<title>Evaluation</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>"


def _retrieval(result: Mapping[str, Any]) -> str:
    keys = list(result["retrieval_by_key"]["1"])
    rows = [
        [f"after {k}", total, *(result["retrieval_by_key"][k][key] for key in keys)]
        for k, total in result["counterfactual_retrieval"].items()
    ]
    question = "Counterfactual retrieval: is the simulator's picture of the same action the nearest?"
    return table(f"{question} Chance {result['chance']}", ["", "all", *keys], rows)


def _judge(result: Mapping[str, Any]) -> str:
    if not result["judge"]["available"]:
        return f"<p>No judge of keys: {escape(result['judge']['reason'])}.</p>"
    keys = result["judge"]["keys"]
    rows = [[f"steps {window}", *(by_key[k] for k in keys)] for window, by_key in result["judge_share"].items()]
    low = [[isinstance(v, float) and v < GOOD_SHARE for v in row] for row in rows]
    f1 = [[f"steps {window}", *(by_key[k] for k in keys)] for window, by_key in result["judge_f1"].items()]
    f1 += [
        [name, *(result[key][k] for k in keys)]
        for name, key in (("ceiling", "judge_ceiling"), ("floor", "judge_floor"))
    ]
    return table(
        f"Share of the judge's ceiling that the model's frames reach; below {GOOD_SHARE} marked", ["", *keys], rows, low
    ) + table("F1 of the judge on the model's frames", ["", *keys], f1)


def _pictures(result: Mapping[str, Any]) -> str:
    names = {
        "rollout_psnr": "model, dB",
        "copy_last_psnr": "last picture held still, dB",
        "tokenizer_psnr": "tokenizer alone, dB",
        "rollout_ssim": "model, SSIM",
        "copy_last_ssim": "last picture held still, SSIM",
        "tokenizer_ssim": "tokenizer alone, SSIM",
        "rollout_lpips_random": "model, LPIPS with random trunk",
        "copy_last_lpips_random": "last picture held still, LPIPS with random trunk",
        "tokenizer_lpips_random": "tokenizer alone, LPIPS with random trunk",
        "edge_energy_ratio": "edge energy against the simulator's",
    }
    steps = list(result["rollout_psnr"])
    rows = [[text, *(result[name][k] for k in steps)] for name, text in names.items()]
    return table("Against the simulator's frame, after k steps", ["", *steps], rows)


REALISM = {
    "frechet_ratio": "Frechet distance, 1 is real",
    "kid_ratio": "kernel distance, 1 is real",
    "two_sample_error": "error of a classifier, .5 is real",
    "legibility": "legible cells, 1 is real",
    "straight_edges": "straight edges, 1 is real",
    "horizon": "sky above ground, 1 is real",
}
WALKS = {"random": "Random walks", "w": "W held", "s": "S held", "circle": "Circles"}


def _realism(result: Mapping[str, Any]) -> str:
    if not result["probe"]["available"]:
        return f"<p>No probe of pictures: {escape(result['probe']['reason'])}.</p>"
    tables = []
    for kind, spread in result["realism_spread"].items():
        found = result["realism"] if kind == "random" else result["realism_held"][kind]
        both = {window: figures | result["realism_structure"][kind][window] for window, figures in found.items()}
        rows = [
            [text, *(f"{figures[name]:.2f} ± {spread[window][name]:.2f}" for window, figures in both.items())]
            for name, text in REALISM.items()
        ]
        tables.append(table(WALKS[kind], ["steps", *found], rows))
    return "".join(tables)


def _curves(result: Mapping[str, Any]) -> str:
    psnr, edges, codes = result["psnr_curve"], result["edge_energy_curve"], result["codes_per_frame_curve"]
    charts = [
        chart(
            "PSNR in dB over steps",
            list(range(1, len(psnr["rollout_psnr"]) + 1)),
            {"model": psnr["rollout_psnr"], "last picture": psnr["copy_last_psnr"]},
        ),
        chart("Edge energy over steps", edges["steps"], {k: edges[k] for k in ("model", "simulator")}),
        chart("Different codes a frame over steps", codes["steps"], {k: codes[k] for k in ("model", "simulator")}),
    ]
    if result["judge"]["available"]:
        ends = [int(w.split("-")[1]) for w in result["judge_f1"]]
        lines = {
            name: [_mean(list(by_key.values())) for by_key in result[key].values()]
            for name, key in (("model", "judge_f1"), ("simulator", "judge_ceiling_by_window"))
        }
        charts.append(chart("Mean F1 of the judge, per window", ends, lines))
    return f"<div class='curves'>{''.join(charts)}</div>"


def _mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return sum(known) / max(len(known), 1)


def _summary(result: Mapping[str, Any]) -> str:
    yaw, zoom, parity = result["yaw"], result["zoom"], result["parity"]
    rows: list[list[Any]] = [
        [
            "pixels a degree of yaw (R²), model | simulator",
            *(f"{yaw[s]['px_per_degree']} ({yaw[s]['r2']})" for s in ("model", "simulator")),
        ],
        *(
            [f"zoom of four steps of {k.upper()}, model | simulator", z["model"], z["simulator"]]
            for k, z in zoom.items()
        ),
        *(
            [f"memory: back from {n} turns, dB | tokenizer", x, result["memory_tokenizer_psnr"]]
            for n, x in result["memory_psnr"].items()
        ),
        *(
            [f"memory: dB below the tokenizer's own, {way.replace('_', ' ')}", x, ""]
            for way, x in result["memory_drop"].items()
        ),
        ["codes that change with no key held", result["noop_churn"], ""],
        ["churn on a walk after 200 steps, of the simulator's", result["churn_ratio"], ""],
        ["different codes a frame after 200 steps, of the simulator's", result["codes_per_frame_ratio"], ""],
        ["edge energy after 200 steps, of the simulator's", result["edge_energy_ratio_settled"], ""],
        ["cross-entropy, free running | teacher-forced", result["ce_free_running"], result["ce_teacher_forced"]],
        [
            "steps to divergence | real clips",
            result["steps_to_divergence"],
            result.get("steps_to_divergence_real"),
        ],
        ["largest difference of a logit, live | batched", parity["largest_logit_difference"], ""],
    ]
    if result["frechet_distance"] is not None:
        far = ["Frechet distance, steps 257-512 | real", result["frechet_distance"], result["frechet_distance_real"]]
        rows.append(far)
    return table("", ["", "", ""], rows)


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]], marked: Sequence[Sequence[bool]] = ()
) -> str:
    """Rows of a label and numbers; None shows as a dash. `marked`: cells that stand out."""
    top = "".join(f"<th scope='col'>{escape(h)}</th>" for h in head) if any(head) else ""
    body = []
    for i, (label, *values) in enumerate(rows):
        marks = marked[i][1:] if marked else [False] * len(values)
        cells = "".join(f"<td{' class=low' if m else ''}>{_text(v)}</td>" for v, m in zip(values, marks, strict=True))
        body.append(f"<tr><th scope='row'>{escape(str(label))}</th>{cells}</tr>")
    return (
        f"<div class='wide'><table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def chart(title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    """Lines over x as inline SVG, the y axis from the least to the largest value."""
    low, high = (f(v for line in lines.values() for v in line) for f in (min, max))
    span = (high - low) or 1.0
    across = (x[-1] - x[0]) or 1.0

    def at(px: float, value: float) -> str:
        left = PAD + (px - x[0]) / across * (WIDTH - PAD - 8)
        return f"{left:.1f},{8 + (high - value) / span * (HEIGHT - PAD - 8):.1f}"

    parts = [f"<text x='0' y='16'>{high:.3g}</text><text x='0' y='{HEIGHT - PAD + 4}'>{low:.3g}</text>"]
    parts.append(f"<text x='{PAD}' y='{HEIGHT - 16}'>{x[0]:g}</text>")
    parts.append(f"<text x='{WIDTH - 8}' y='{HEIGHT - 16}' text-anchor='end'>{x[-1]:g}</text>")
    for i, (name, values) in enumerate(lines.items()):
        points = " ".join(at(px, v) for px, v in zip(x, values, strict=True))
        parts.append(f"<polyline points='{points}' fill='none' stroke='{COLOURS[i]}' stroke-width='2'/>")
        parts.append(f"<text x='{PAD + 110 * i}' y='{HEIGHT - 2}' style='fill:{COLOURS[i]}'>{escape(name)}</text>")
    drawing = f"<svg width='{WIDTH}' height='{HEIGHT}' role='img' aria-label='{escape(title)}'>{''.join(parts)}</svg>"
    return f"<figure>{drawing}<figcaption>{escape(title)}</figcaption></figure>"


def _strip(caption: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    picture = f"<img src='data:image/png;base64,{data}' alt='{escape(caption)}'>"
    return f"<figure><div class='wide'>{picture}</div><figcaption>{escape(caption)}</figcaption></figure>"
