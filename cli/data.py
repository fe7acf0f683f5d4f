"""terrarium data record --world plains --episodes 200 --out data/plains
terrarium data record --world maps/castle.json --episodes 50 --out data/castle
terrarium data record-gym crafter:Env --episodes 100 --out data/crafter
terrarium data import gamefactory downloads/GF-Minecraft/data_2003 --preset ochre --out data/gf
terrarium data import played .terrarium/plays --set pictures=model --out data/mine
terrarium data info data/plains --verify"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from terrarium.cli.console import configure, option, parse_fields, run_recipe, say_what_next
from terrarium.recipes import make_dataset, record_config

app = typer.Typer(no_args_is_help=True, help="Record datasets in a world or a game, import others, look into them.")


@app.command()
def record(
    out: Annotated[Path, typer.Option(help="Folder of the new dataset.")],
    preset: Annotated[str, typer.Option(help="debug, cpu, small or ochre.")] = "cpu",
    world: Annotated[
        str | None, typer.Option(help="mixed, plains, desert, forest, lake, hills, or a map.json.")
    ] = None,
    episodes: Annotated[int | None, option("dataset.record", "episodes")] = None,
    steps: Annotated[int | None, option("dataset.record", "steps")] = None,
    width: Annotated[int | None, option("dataset.record", "width")] = None,
    height: Annotated[int | None, option("dataset.record", "height")] = None,
    seed: Annotated[int | None, option("dataset.record", "seed")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other field: key=value.")] = None,
) -> None:
    """Walk the block world and record episodes; an interrupted recording goes on where it was."""
    flags = {"world": world, "episodes": episodes, "steps": steps, "width": width, "height": height, "seed": seed}
    config = record_config(preset, parse_fields("dataset.record", flags, set_ or []))
    print(json.dumps(_make(config, out)))


@app.command("record-gym")
def record_gym(
    env: Annotated[str, typer.Argument(help="A gymnasium id, or module:Class of an environment installed here.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset.")],
    preset: Annotated[str, typer.Option(help="debug, cpu or small.")] = "cpu",
    episodes: Annotated[int | None, option("dataset.record-gym", "episodes")] = None,
    steps: Annotated[int | None, option("dataset.record-gym", "steps")] = None,
    width: Annotated[int | None, option("dataset.record-gym", "width")] = None,
    height: Annotated[int | None, option("dataset.record-gym", "height")] = None,
    seed: Annotated[int | None, option("dataset.record-gym", "seed")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other field: key=value.")] = None,
) -> None:
    """Play a game at random and record episodes; an interrupted recording goes on where it was."""
    flags = {"env": env, "episodes": episodes, "steps": steps, "width": width, "height": height, "seed": seed}
    print(json.dumps(_make(configure("dataset.record-gym", preset, flags, set_ or []), out)))


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="gamefactory, minerl, vpt or played.")],
    path: Annotated[Path, typer.Argument(help="Folder of the recordings.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset.")],
    preset: Annotated[str, typer.Option(help="Frame size: debug 32x32, small 64x64, ochre 128x72.")] = "small",
    width: Annotated[int | None, option("dataset.import", "width")] = None,
    height: Annotated[int | None, option("dataset.import", "height")] = None,
    stride: Annotated[int | None, option("dataset.import", "stride")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other field: key=value.")] = None,
) -> None:
    """Turn recordings into a dataset; an interrupted import goes on where it was. What cannot be used is named."""
    flags = {"width": width, "height": height}
    if source == "played":
        config = configure("dataset.import-play", preset, flags | {"plays": [str(path)]}, set_ or [])
    else:
        given = {"source": source, "path": str(path), "stride": stride}
        config = configure("dataset.import", preset, flags | given, set_ or [])
    result = _make(config, out)
    for skipped in result["skipped"]:
        typer.echo(f"skipped {skipped['name']}: {skipped['reason']}", err=True)
    if result["clipped"]:
        share = result["clipped"] / result["actions"]
        typer.echo(f"clipped {result['clipped']} turns ({share:.1%}): --set max_yaw_deg, max_pitch_deg", err=True)
    print(json.dumps(result))


def _make(config: Any, out: Path) -> dict[str, Any]:
    result = make_dataset(out, lambda scratch: run_recipe(config, scratch))
    say_what_next(config.kind, out)
    return result


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="Folder of a dataset, or a map.json.")],
    verify: Annotated[bool, typer.Option(help="Read every file and compare its sha256.")] = False,
) -> None:
    """Check a dataset or a map and say what is in it, as JSON."""
    print(json.dumps(_map_facts(path) if path.is_file() else _dataset_facts(path, verify), indent=1))


def _dataset_facts(path: Path, verify: bool) -> dict[str, Any]:
    from terrarium.worlds.episodes.format import open_dataset

    found = open_dataset(path, verify=verify)
    facts = {k: found.manifest[k] for k in ("fps", "frame_size", "action_names", "report")}
    facts["source"] = {k: v for k, v in found.manifest["source"].items() if k != "map"}
    splits = Counter(e.split for e in found.episodes)
    return facts | {"episodes": dict(splits), "frames": sum(len(e.frames) for e in found.episodes)}


def _map_facts(path: Path) -> dict[str, Any]:
    from terrarium.worlds.blocks.map_json import read_map
    from terrarium.worlds.blocks.palette import NAMES

    blocks = read_map(path).blocks
    counts = Counter(NAMES[i] for i in blocks[blocks > 0].tolist())
    return {"dimensions": dict(zip("xyz", blocks.shape, strict=True)), "blocks": dict(counts.most_common())}
