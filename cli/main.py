"""The `terrarium` command. Groups are imported when they are used, so that `terrarium --help` stays quick."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from terrarium.store.errors import TerrariumError

GROUPS = {  # name: (module with a Typer called `app`, help)
    "data": ("terrarium.cli.data", "Record datasets in the block world and look into them."),
    "train": ("terrarium.cli.train", "Train a tokenizer or a world model, here and now."),
    "worlds": ("terrarium.cli.worlds", "Look into a block world, check its gradient, take pictures of it."),
    "eval": ("terrarium.cli.evaluate", "Measure a world model, a model of materials, or a generator of worlds."),
    "infer": ("terrarium.cli.infer", "Turn pictures of a surface into maps."),
    "assets": ("terrarium.cli.assets", "List, show, rename and delete what a running Terrarium has in its library."),
    "jobs": ("terrarium.cli.jobs", "Submit, list, watch and cancel jobs of a running Terrarium."),
    "queues": ("terrarium.cli.queues", "List, pause and resume the queues of a running Terrarium."),
    "webhooks": ("terrarium.cli.webhooks", "Have a running Terrarium tell other programs what happens."),
    "keys": ("terrarium.cli.keys", "Make, list and revoke the API keys that let others in."),
    "bench": ("terrarium.cli.bench", "Measure live play, the gateway, training, recipes, and the voxel renderer."),
}


MISNAMED = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)  # paths that a user gave


class LazyGroup(TyperGroup):
    """Stands for a group of GROUPS until it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        assert self.name is not None
        group = typer.main.get_group(importlib.import_module(GROUPS[self.name][0]).app)
        group.name = self.name
        return group.make_context(info_name, args, parent=parent, **extra)


class Root(TyperGroup):
    """The one place where an error becomes one line and an exit code: 2 for the user's, 1 for ours."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda name: name in GROUPS)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (TerrariumError, ValueError, *MISNAMED) as error:
            if ctx.params.get("debug"):
                raise
            print(f"terrarium: {describe(error)}", file=sys.stderr)
            ours = isinstance(error, TerrariumError) and error.status >= 500
            raise typer.Exit(1 if ours else 2) from error


def describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, (_module, _help) in GROUPS.items():
    app.add_typer(typer.Typer(cls=LazyGroup, help=_help), name=_name, rich_help_panel="Make")

DataDir = Annotated[Path, typer.Option(envvar="TERRARIUM_DATA_DIR", help="Everything that is kept lies here.")]
Host = Annotated[str, typer.Option(envvar="TERRARIUM_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="TERRARIUM_PORT", help="Port to listen on; 0: a free one.")]
Worker = Annotated[bool, typer.Option(help="Also run jobs on this machine.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("terrarium"))
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Terrarium trains, generates and streams small neural worlds."""


@app.command(rich_help_panel="Run")
def up(
    data_dir: DataDir = Path(".terrarium"),
    host: Host = "127.0.0.1",
    port: Port = 8420,
    worker: Worker = True,
) -> None:
    """Start everything on this machine: database, broker, gateway, dispatcher, worker, player."""
    from terrarium.cli.up import up as run

    run(data_dir, host, port, worker)


@app.command(rich_help_panel="Run")
def play(
    data_dir: DataDir = Path(".terrarium"),
    host: Host = "127.0.0.1",
    port: Port = 8420,
    worker: Worker = True,
    browser: Annotated[bool, typer.Option(help="Open a browser where there is a screen.")] = True,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a world model to play.")] = None,
) -> None:
    """Like `up`, and open the world in a browser."""
    from terrarium.cli.up import up as run

    def open_browser(url: str) -> None:
        if browser and screen:
            webbrowser.open(url)

    screen = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    run(data_dir, host, port, worker, checkpoint=checkpoint, on_ready=open_browser)


@app.command(rich_help_panel="Make")
def run(
    kind: Annotated[str, typer.Argument(help="A kind of job: `terrarium kinds` lists them.")],
    preset: Annotated[str | None, typer.Option(help="Start from a preset.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A field: key=value. An input is a folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for states, previews and <out>/output [out/KIND].")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for its curves as TensorBoard's files.")] = None,
) -> None:
    """Run a job of any kind here and now; the same command goes on after a stop."""
    from terrarium.cli.run import run as run_kind

    run_kind(kind, preset, set_ or [], out or Path("out") / kind, tensorboard)


@app.command("kinds", rich_help_panel="Make")
def show_kinds(
    kind: Annotated[str | None, typer.Argument(help="Show the fields of this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the kinds of jobs, or the fields of one."""
    from terrarium.cli.run import show

    show(kind, as_json)


@app.command(rich_help_panel="Make")
def generate(
    prompt: Annotated[str | None, typer.Argument(help="What to build, in words.")] = None,
    target: Annotated[Path | None, typer.Option(help="A map.json, a block world or a capture set to rebuild.")] = None,
    start: Annotated[Path | None, typer.Option(help="A map.json or a block world to start from.")] = None,
    guidance: Annotated[
        str | None, typer.Option(help="target, blocks, sd or sdxl. If omitted, blocks for words alone, else target.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Blocks along each side.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps at full size.")] = None,
    init: Annotated[str | None, typer.Option(help="ground_plane, cube or noise.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the init and of the views.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="words, rebuild, default, cpu, plan or debug."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other field: key=value.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for states, previews and <out>/output.")] = Path("out/world"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a block world from words, or rebuild one from its pictures; the same command goes on after a stop."""
    from terrarium.cli.generate import generate as run_generate

    given = {"guidance": guidance, "size": size, "steps": steps, "init": init, "seed": seed}
    inputs = {"target": target and str(target), "start": start and str(start)}
    run_generate(prompt, given | inputs, preset, set_ or [], out, as_json)


@app.command(rich_help_panel="Make")
def sample(
    prompt: Annotated[str | None, typer.Argument(help="What to build, in words.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="A text file instead, a prompt a line.")] = None,
    generator: Annotated[str | None, typer.Option(help="Folder of a generator. If omitted, the shipped one.")] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Folder of an aligned generator: its adapters on its base.")
    ] = None,
    tag: Annotated[int | None, typer.Option(help="Step of the measurement to draw as. If omitted, the best.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Worlds; each has the seed after the last one's.")] = 1,
    start: Annotated[Path | None, typer.Option(help="A map.json or a block world whose blocks stay.")] = None,
    size: Annotated[int | None, typer.Option(help="Blocks along x and z.")] = None,
    sampler: Annotated[str | None, typer.Option(help="ddim, ddpm, or dpm for few steps.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps from noise to a world.")] = None,
    cfg: Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first world.")] = 0,
    preset: Annotated[str | None, typer.Option(help="debug, default or quick.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other field: key=value.")] = None,
    out: Annotated[Path, typer.Option(help="Gets a folder for each world, named by its seed.")] = Path("out/sample"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw block worlds from words with a generator, in seconds."""
    from terrarium.cli.sample import prompts_of
    from terrarium.cli.sample import sample as run_sample

    given: dict[str, Any] = {"generator": generator, "start": start and str(start), "size": size}
    given |= {"sampler": sampler, "steps": steps, "cfg": cfg, "adapter": adapter, "measurement": tag}
    for i, said in enumerate(prompts_of(prompt, prompts)):
        run_sample(said, given, count, seed, preset, set_ or [], out / str(i) if prompts else out, as_json)


@app.command(rich_help_panel="Make")
def texture(
    preset: Annotated[str, typer.Option(help="debug, cpu or default.")] = "debug",
    clean: Annotated[str | None, typer.Option(help="Folder of clean textures; with --url, an id.")] = None,
    game: Annotated[str | None, typer.Option(help="Folder of a game's textures; with --url, an id.")] = None,
    release: Annotated[str | None, typer.Option(help="Why phases go on although a gate is closed.")] = None,
    out: Annotated[Path, typer.Option(help="Folder with a folder for each step.")] = Path("out/texture"),
    url: Annotated[str | None, typer.Option(help="Address of a gateway: have the jobs of a plan done there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The staged texture plan, phase by phase with a gate between them; the same command goes on after a stop."""
    from terrarium.cli import texture as commands

    if url is None:
        commands.here(preset, clean, game, release, out, as_json)
    else:
        commands.there(preset, clean, game, release, url, as_json)


@app.command(rich_help_panel="Make")
def playable(
    prompt: Annotated[str, typer.Argument(help="What to build, in words.")] = "",
    world: Annotated[
        str | None, typer.Option(help="A map.json or a block world to make playable; with --url, its id.")
    ] = None,
    preset: Annotated[str, typer.Option(help="debug, cpu or small.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder with a folder for each step.")] = Path("out/playable"),
    url: Annotated[str | None, typer.Option(help="Address of a gateway: have the jobs of a plan done there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """From a prompt to a world model to play: generate, record, train; the same command goes on after a stop."""
    from terrarium.cli import playable as commands

    if url is None:
        commands.here(prompt, world, preset, out, as_json)
    else:
        commands.there(prompt, world, preset, url, as_json)


@app.command(rich_help_panel="Make")
def add(
    path: Annotated[Path, typer.Argument(help="Folder of an asset, a zip of one, or a map.json.")],
    type: Annotated[str | None, typer.Option(help="What it must be. If omitted, its manifest decides.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name in the library. If omitted, that of the folder.")] = None,
    data_dir: DataDir = Path(".terrarium"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Put what was made on the command line, or elsewhere, into the library."""
    from terrarium.cli.adopt import add as add_asset

    add_asset(path, data_dir, type, name, as_json)


@app.command(rich_help_panel="Run")
def workers(
    url: Annotated[str | None, typer.Option(help="Address of the gateway (TERRARIUM_URL).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the workers of a running Terrarium: what each runs, its memory and its disk."""
    from terrarium.cli.queues import workers as show_workers

    show_workers(url, as_json)


@app.command(rich_help_panel="Run")
def doctor(
    data_dir: DataDir = Path(".terrarium"),
    host: Host = "127.0.0.1",
    port: Port = 8420,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Try out what Terrarium needs on this machine, and say what to do about what does not work."""
    from terrarium.cli.doctor import doctor as examine

    examine(data_dir, host, port, as_json)


@app.command(rich_help_panel="Run")
def backup(
    file: Annotated[Path, typer.Argument(help="The tar to write.")],
    data_dir: DataDir = Path(".terrarium"),
) -> None:
    """Write the database and the files that it names to one file, while everything runs."""
    from terrarium.cli.backup import backup as write

    write(file, data_dir)


@app.command(rich_help_panel="Run")
def restore(
    file: Annotated[Path, typer.Argument(help="What `terrarium backup` wrote.")],
    data_dir: Annotated[Path, typer.Option(help="The new data directory, which must be empty.")],
) -> None:
    """Make a new data directory out of a backup; every file's hash is checked."""
    from terrarium.cli.backup import restore as read

    read(file, data_dir)


@app.command(rich_help_panel="Run")
def clean(
    data_dir: DataDir = Path(".terrarium"),
    dry_run: Annotated[bool, typer.Option(help="Only list what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove what is past its time; the dispatcher does so once an hour."""
    from terrarium.cli.clean import clean as clean_up

    clean_up(data_dir, dry_run, as_json)


@app.command(rich_help_panel="Run")
def join(
    data_dir: DataDir = Path(".terrarium"),
    worker: Annotated[bool, typer.Option(help="Run jobs.")] = True,
    player: Annotated[str, typer.Option(help="Serve live play at this address: ws://host:port.")] = "",
) -> None:
    """Run jobs or live play for a Terrarium on another machine: DATABASE_URL, REDIS_URL and TERRARIUM_ARTIFACTS_URL say
    which."""
    from terrarium.cli.join import join as run

    run(data_dir, worker, player)


@app.command(rich_help_panel="Run")
def dispatcher() -> None:
    """Run a dispatcher against DATABASE_URL and REDIS_URL."""
    runpy.run_module("terrarium.workers.dispatcher", run_name="__main__", alter_sys=True)


@app.command(rich_help_panel="Run")
def player() -> None:
    """Run a player, which serves live sessions to the gateway."""
    runpy.run_module("terrarium.workers.player", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    app()
