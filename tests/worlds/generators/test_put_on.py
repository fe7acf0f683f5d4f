"""Adapters apart from their base: drawn with beside it, and refused by any other."""

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from terrarium.cli.main import app
from terrarium.worlds.generators.align import align_generator
from terrarium.worlds.generators.draw import draw_world
from terrarium.worlds.generators.kinds import SampleConfig, align_debug, sample_debug, train_debug
from terrarium.worlds.generators.lora import base_of
from terrarium.worlds.generators.model import load_generator
from terrarium.worlds.generators.pareto import ADAPTERS, put_on
from terrarium.worlds.generators.train import save_generator
from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent
from terrarium.worlds.voxels import export


@pytest.fixture(scope="module")
def aligned(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("aligned")
    free = {"fd_budget": 1e6, "diversity_budget": 0.0, "worlds": 4, "sampling_steps": 2}
    align_generator(replace(align_debug(), generator=str(folder), steps=4, **free), out, Silent())
    return out / "output"


@pytest.fixture(scope="module")
def stranger(generator, tmp_path_factory):
    """Another generator of the same shape."""
    made = copy.deepcopy(generator)
    made.out.bias.data += 1
    out = tmp_path_factory.mktemp("stranger") / "output"
    save_generator(out, made, train_debug(), {})
    return out


@torch.no_grad()
def predicted(generator):
    z = torch.randn(1, *generator.shape, generator=torch.Generator().manual_seed(1))
    return generator(z, torch.tensor([500]), generator.say(["a tower"]))


def test_switched_off_they_leave_the_base_as_it_was(folder, aligned) -> None:
    plain = predicted(load_generator(folder)[0])
    kept = load_file(aligned / ADAPTERS)
    for step, prefix in ((2, "2."), (None, "best.")):
        generator, manifest = load_generator(folder)
        put_on(generator, manifest["sha256"], aligned, step)
        wearing = generator.state_dict()
        assert all(wearing[k.removeprefix(prefix)].equal(v) for k, v in kept.items() if k.startswith(prefix))
        assert not predicted(generator).equal(plain)
        with base_of(generator):
            assert predicted(generator).equal(plain)


def test_the_wrong_base_or_tag_is_refused_before_anything_is_drawn(folder, aligned, stranger, tmp_path) -> None:
    for given, match in (
        ({"generator": str(stranger)}, "belongs to generator"),
        ({"generator": str(folder), "measurement": 3}, "3 is none of the adapter's: expected one of 2, 4"),
    ):
        row, config = kinds()["world.sample"], SampleConfig(prompt="a tower", adapter=str(aligned), **given)
        with pytest.raises(ValueError, match=match):
            row.run(config, tmp_path / "out", Silent())
    with pytest.raises(
        ValueError, match=r"belong to generator .*: expected those of"
    ):  # the shipped one has no manifest
        draw_world(SampleConfig(prompt="a tower", adapter=str(aligned)), tmp_path / "out", Silent())
    with pytest.raises(ValueError, match="was not aligned"):
        draw_world(replace(sample_debug("a tower"), generator=str(folder), adapter=str(folder)), tmp_path, Silent())
    assert not (tmp_path / "out").exists()


def test_worlds_are_drawn_by_a_file_of_prompts_and_a_tag(folder, aligned, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(export, "TURN", 4)
    (tmp_path / "prompts.txt").write_text("a tower\n\na ship\n")
    call = ["sample", "--prompts", "prompts.txt", "--generator", folder, "--adapter", aligned, "--tag", "2"]
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(app, [str(part) for part in [*call, "--preset", "debug", "--out", "out"]])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "out" / "0" / "0" / "output" / "map.json").is_file()
    assert (tmp_path / "out" / "1" / "0" / "output" / "map.json").is_file()
    both = CliRunner().invoke(app, ["sample", "a tower", "--prompts", "prompts.txt"])
    assert both.exit_code == 2 and "expected one of the two" in both.output
