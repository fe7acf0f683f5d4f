"""Whose state is whose: a run goes on from its own, and says by which field another's differs."""

import json
from dataclasses import dataclass, field

import pytest
import torch

from terrarium.worlds.training.states import States, identity


@dataclass(frozen=True)
class Config:
    data: str
    lr: float = 0.1
    levels: tuple[int, ...] = (8, 5)
    extras: list[str] = field(default_factory=list)
    log_every: int = 10


@dataclass(frozen=True)
class Grown(Config):
    blur: float = 0.5
    weights: dict[str, float] = field(default_factory=lambda: {"l1": 1.0})


@dataclass(frozen=True)
class OtherDefault(Config):
    lr: float = 0.2


def states(out, config):
    return States(out, identity(config, ["log_every"], data="a1b2"), keep=2)


@pytest.fixture()
def saved(tmp_path):
    states(tmp_path, Config("here")).save({"x": torch.ones(2)}, {"step": 3})
    return tmp_path


@pytest.mark.parametrize("config", [Config("moved"), Config("here", log_every=1), Grown("here")])
def test_a_state_serves_the_same_run(saved, config):
    """The same data elsewhere; a field that may change; a field that the config did not have yet."""
    assert states(saved, config).newest().facts["step"] == 3


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (Config("here", lr=0.5, levels=(4,)), r"\(levels \[4\], was \[8, 5\]; lr 0.5, was 0.1\)"),
        (Config("here", extras=["x"]), r'\(extras \["x"\], was \[\]\)'),
        (Grown("here", blur=0.7), r"\(blur 0.7, was 0.5\)"),
        (OtherDefault("here"), r"\(lr 0.2, was 0.1\)"),
    ],
)
def test_a_state_of_another_run_is_refused_by_field(saved, config, difference):
    with pytest.raises(ValueError, match=f"step_000000003 belongs to another config or dataset {difference}: use an"):
        states(saved, config).newest()


def test_other_data_are_refused_and_so_is_a_field_that_is_gone(saved):
    other = States(saved, identity(Config("here"), ["log_every"], data="c3d4"), keep=2)
    with pytest.raises(ValueError, match=r'\(data "c3d4", was "a1b2"\)'):
        other.newest()
    states(saved, Grown("here")).save({"x": torch.ones(2)}, {"step": 4})
    with pytest.raises(ValueError, match=r"\(blur nothing, was 0.5; weights nothing, was"):
        states(saved, Config("here")).newest()


def test_a_state_of_an_earlier_version_is_refused(saved):
    file = saved / "step_000000003" / "manifest.json"
    facts = json.loads(file.read_text())
    del facts["identity"]
    file.write_text(json.dumps(facts | {"resume_key": "0123"}))
    with pytest.raises(ValueError, match="written by an earlier version: use an empty folder"):
        states(saved, Config("here")).newest()


def test_the_newest_states_are_kept(saved):
    for step in (4, 5, 6):
        states(saved, Config("here")).save({"x": torch.ones(2)}, {"step": step})
    assert sorted(p.name for p in saved.iterdir()) == ["step_000000005", "step_000000006"]
