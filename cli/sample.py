"""terrarium sample "a large stone castle with four towers" --count 4 --seed 7 --out out/castles --json
terrarium sample "a village of huts" --start castle.json --size 32 --out out/around
terrarium sample --prompts prompts.txt --adapter out/stone/output --tag 16 --out out/stone-worlds

Leaves <out>/<seed>/output for each world: map.json, world.glb, turntable.mp4, thumbnail.png. Of a file of prompts, one
a line, <out>/<line>/<seed>/output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from terrarium.cli.console import configure, run_recipe, say_what_next

KIND = "world.sample"


def prompts_of(prompt: str | None, file: Path | None) -> list[str]:
    """The one, or the lines of the file. ValueError unless one of the two is given and says something."""
    if (prompt is None) == (file is None):
        raise ValueError(f"prompt {prompt!r} and --prompts {file}: expected one of the two")
    if prompt is not None:
        return [prompt]
    assert file is not None
    try:
        said = [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"--prompts {file} cannot be read ({e}): expected a text file, a prompt a line") from None
    if not said:
        raise ValueError(f"--prompts {file} is empty: expected a prompt a line")
    return said


def sample(
    prompt: str,
    given: dict[str, Any],
    count: int,
    seed: int,
    preset: str | None,
    assignments: list[str],
    out: Path,
    as_json: bool,
) -> None:
    """Draws `count` worlds here; prints one JSON object, {"prompt", "worlds": [{"seed", "map", "blocks", "seconds",
    "table"}]}, or a line each. `given`: fields by name, None for those left to the preset."""
    configs = [
        configure(KIND, preset, {**given, "prompt": prompt, "seed": seed + i}, assignments) for i in range(count)
    ]
    worlds = []
    for config in configs:
        found = run_recipe(config, out / str(config.seed))
        worlds.append({"seed": config.seed, "map": str(out / str(config.seed) / "output" / "map.json"), **found})
    if as_json:
        print(json.dumps({"prompt": prompt, "worlds": worlds}))
    else:
        for world in worlds:
            print("seed {seed}  {blocks} blocks  {seconds:.2f} s  {map}".format(**world))
    say_what_next(KIND, out / str(seed) / "output")
