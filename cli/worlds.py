"""terrarium worlds table castle.json
terrarium worlds gradient castle.json --azimuth 30 --elevation 20
terrarium worlds capture castle.json --views 24 --out captures/castle

A world is a map.json, or the folder of a block world."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Look into a block world, check its gradient, take pictures of it.")

World = Annotated[Path, typer.Argument(help="A map.json, or the folder of a block world.")]
Side = Annotated[int, typer.Option(min=16, max=4096, help="Side of a picture in pixels.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def table(world: World, as_json: Json = False) -> None:
    """What a world is made of: blocks, ground, materials, heights."""
    from terrarium.cli.generate import world_table
    from terrarium.worlds.voxels.export import table_of
    from terrarium.worlds.voxels.world import open_world

    facts = table_of(open_world(world).blocks)
    if as_json:
        print(json.dumps(facts))
    else:
        Console().print(world_table(facts))


@app.command()
def gradient(
    world: World,
    azimuth: Annotated[float, typer.Option(help="Degrees; 0 sees the front, 90 the side +x.")] = 30.0,
    elevation: Annotated[float, typer.Option(min=-90, max=90, help="Degrees above the horizon.")] = 20.0,
    image: Side = 512,
    as_json: Json = False,
) -> None:
    """The gradient that one picture has in the world's voxels: its L2 norm, and how many blocks have one."""
    from terrarium.worlds.voxels.camera import orbit
    from terrarium.worlds.voxels.gradient import gradient_of
    from terrarium.worlds.voxels.world import open_world

    blocks = open_world(world).blocks
    nx, ny, nz = blocks.shape
    found = gradient_of(blocks, orbit((nx, ny, nz), azimuth, elevation, image, image))
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        print(f"gradient norm {found.norm:.4g}; {found.with_gradient:,} of {found.blocks:,} blocks have one")
    if not found.finite:
        raise typer.Exit(1)


@app.command()
def capture(
    world: World,
    out: Annotated[Path, typer.Option(help="Folder of the new capture set.")],
    views: Annotated[int, typer.Option(min=1, max=1000, help="Pictures, from all around and above.")] = 24,
    image: Side = 128,
) -> None:
    """Take pictures, depth and normals of a world with their cameras, a target for `terrarium generate`: metadata.json
    and PNGs."""
    from terrarium.worlds.voxels.capture import write_capture
    from terrarium.worlds.voxels.guidance.target import take
    from terrarium.worlds.voxels.world import open_world

    found = open_world(world)
    nx, ny, nz = found.blocks.shape
    write_capture(out, take(found.blocks, views, image), (nx, ny, nz), found.world_scale)
    print(json.dumps({"capture": str(out), "views": views}))
