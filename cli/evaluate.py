"""terrarium eval world-model shipped --seed 7 --episodes 20 --json
terrarium eval material shipped --seed 3 --json
terrarium eval generator shipped --seed 7 --json"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from terrarium.cli.console import ConsoleProgress
from terrarium.recipes import evaluate
from terrarium.worlds.kinds import read_manifest
from terrarium.worlds.progress import Stopped

SINGLE = (
    *("noop_churn", "churn_ratio", "codes_per_frame_ratio", "edge_energy_ratio_settled", "ce_gap"),
    *("steps_to_divergence", "steps_to_divergence_real", "frechet_distance", "frechet_distance_real"),
)
GENERATOR = ("class_accuracy", "attribute_accuracy", "fd", "diversity", "novelty", "seconds_a_world")
app = typer.Typer(no_args_is_help=True, help="Measure a world model, a model of materials, or a generator of worlds.")


@app.command("world-model")
def world_model(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a checkpoint, or `shipped`.")],
    seed: Annotated[int, typer.Option(help="Which held-out worlds.")] = 7,
    episodes: Annotated[int, typer.Option(help="Held-out states.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    precision: Annotated[str, typer.Option(help="What the model computes in: fp32 or bf16.")] = "fp32",
    out: Annotated[
        Path | None, typer.Option(help="Also write evaluation.json, report.html and its pictures to this folder.")
    ] = None,
) -> None:
    """Control, pictures, motion, memory and stability on seeds that training never saw."""
    with ConsoleProgress("evaluate") as progress:
        try:
            result = evaluate(checkpoint, seed=seed, episodes=episodes, precision=precision, out=out, progress=progress)
        except Stopped:
            raise typer.Exit(130) from None
    print(json.dumps(result, allow_nan=False)) if as_json else _tables(result)


@app.command("material")
def material(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a material model, or `shipped`.")],
    seed: Annotated[int, typer.Option(help="Which held-out materials.")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="A folder in either layout (docs/materials.md), in place of procedural ones.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of procedural materials in pixels.")] = 128,
    sheet: Annotated[Path | None, typer.Option(help="Also draw eight of them here: views, maps, new light.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Maps, normals and re-rendered pictures beside baselines, on materials that training never saw."""
    from terrarium.worlds.materials.texture.model import KIND

    if read_manifest(checkpoint).get("kind") == KIND:
        from terrarium.worlds.materials.texture.evaluate import evaluate as evaluate_texture
        from terrarium.worlds.materials.texture.model import for_inference

        result = evaluate_texture(*for_inference(checkpoint), seed, data, size)
        print(json.dumps(result, allow_nan=False)) if as_json else _texture_tables(result)
        return
    from terrarium.worlds.materials.evaluate import evaluate as evaluate_material
    from terrarium.worlds.materials.model import load_model

    result = evaluate_material(load_model(checkpoint)[0], seed, data, size, sheet)
    print(json.dumps(result, allow_nan=False)) if as_json else _material_tables(result)


@app.command("generator")
def generator(
    checkpoint: Annotated[str, typer.Argument(help="Folder of a generator, or `shipped`.")],
    seed: Annotated[int, typer.Option(help="Which held-out captions, and the noise.")] = 7,
    worlds: Annotated[int, typer.Option(min=32, max=4096, help="Worlds that are drawn.")] = 256,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Steps from noise to a world.")] = 20,
    cfg: Annotated[float, typer.Option(min=0, max=100, help="Classifier-free guidance scale.")] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """How far worlds are what was said, how near to real structures, how diverse and how new."""
    from rich.console import Console

    from terrarium.worlds.generators.evaluate import evaluate as evaluate_generator
    from terrarium.worlds.generators.model import shipped_generator

    folder = shipped_generator() if checkpoint == "shipped" else Path(checkpoint)
    result = evaluate_generator(folder, seed, worlds=worlds, steps=steps, cfg=cfg)
    if as_json:
        print(json.dumps(result, allow_nan=False))
        return
    for name in GENERATOR:
        real = result.get(f"{name}_real")
        Console().print(f"{name:>20}  {result[name]:.4g}" + ("" if real is None else f"  (structures: {real:.4g})"))


def _material_tables(result: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    for title, of in (("Held out by seed", result), ("Held out by family", result.get("by_family"))):
        if of is None:
            continue
        rows = {"three views": of, **of["baselines"], "two views": of["two_views"], "wrong poses": of["shuffled_poses"]}
        for figure in ("psnr", "rmse", "mae", "ssim"):
            maps = {name: {m: row["maps"].get(m, {}).get(figure) for m in of["maps"]} for name, row in rows.items()}
            console.print(_table(f"{title}: {figure} of {of['materials']} materials", "", maps, digits=3))
        seen = {name: {"LPIPS": row["maps"]["albedo"]["lpips"]} for name, row in rows.items()}
        console.print(_table(f"{title}: albedo, LPIPS on the trunk {result['lpips']['trunk']}", "", seen, digits=3))
        angles = {name: row["normal_deg"] for name, row in rows.items() if "normal_deg" in row}
        console.print(_table(f"{title}: angle between normals, degrees", "", angles))
        drawn = {name: {"PSNR": row["rerender_psnr"]} for name, row in rows.items() if "rerender_psnr" in row}
        console.print(_table(f"{title}: pictures under new light", "", drawn))


def _texture_tables(result: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    rows = {"one picture": result, **result["baselines"]}
    for name in ("without_normals", "baked"):
        if name in result:
            own = {f"{name}, {baseline}": of for baseline, of in result[name]["baselines"].items()}
            rows |= {name: result[name]} | own
    names = result["without_normals"]["maps"]
    for figure in ("psnr", "rmse", "mae", "ssim"):
        maps = {row: {m: of["maps"].get(m, {}).get(figure) for m in names} for row, of in rows.items()}
        console.print(_table(f"Held out by seed: {figure} of {result['materials']} materials", "", maps, digits=3))
    angles = {name: row["normal_deg"] for name, row in rows.items() if "normal_deg" in row}
    console.print(_table("Angle between normals that were found, degrees", "", angles))
    drawn = {name: {"PSNR": row["rerender_psnr"]} for name, row in rows.items() if "rerender_psnr" in row}
    console.print(_table("Pictures under new light", "", drawn))


def _tables(result: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    title = f"Counterfactual retrieval after k steps (chance {result['chance']:.2f})"
    retrieval = {k: {"all": v} | result["retrieval_by_key"][k] for k, v in result["counterfactual_retrieval"].items()}
    console.print(_table(title, "k", retrieval))
    if result["judge"]["available"]:
        console.print(_table("Judge of keys: share of its ceiling", "steps", result["judge_share"]))
    else:
        console.print(f"no judge of keys: {result['judge']['reason']}")
    if result["probe"]["available"]:
        kinds = {"random": result["realism"]} | result["realism_held"]
        for kind, windows in kinds.items():
            console.print(_table(f"Realism, {kind} walks (1 and .5 are real)", "steps", windows))
    else:
        console.print(f"no probe of pictures: {result['probe']['reason']}")
    rows = ("rollout_psnr", "copy_last_psnr", "tokenizer_psnr", "edge_energy_ratio")
    console.print(_table("Rollouts after k steps", "", {row: result[row] for row in rows}))
    console.print(_table("Back from N turns, dB", "", {"memory_psnr": result["memory_psnr"]}))
    console.print(_table("Coming back, dB below the tokenizer's own", "", {"memory_drop": result["memory_drop"]}))
    for name in SINGLE:
        if result.get(name) is not None:
            console.print(f"{name:>28}  {result[name]:.4g}")


def _table(title: str, corner: str, rows: dict[str, dict[str, float | None]], digits: int = 2) -> Any:
    from rich.table import Table

    table = Table(title=title)
    for name in (corner, *next(iter(rows.values()))):
        table.add_column(name, justify="right")
    for name, values in rows.items():
        table.add_row(name, *("-" if v is None else f"{v:.{digits}f}" for v in values.values()))
    return table
