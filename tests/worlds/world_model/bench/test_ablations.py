from contextlib import nullcontext

import numpy as np
import pytest
import torch

from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.bench import ablations
from terrarium.worlds.world_model.bench.ablations import ABLATIONS, ablate, without
from terrarium.worlds.world_model.rollout import burn_in, rollout, shipped_folder


def quiet(_):
    return nullcontext(Silent())


@pytest.fixture(scope="module")
def after_turns():
    """What each line shows of one walk: a look left and back, as sampled from one seed."""
    frames = np.random.default_rng(0).integers(0, 256, (1, 8, 64, 64, 3), np.uint8)
    turns = torch.zeros(1, 12, 9)
    turns[:, :6, 0], turns[:, 6:, 0] = -1.0, 1.0
    found = {}
    for name in ABLATIONS:
        model, _ = without(name, shipped_folder())
        torch.manual_seed(0)
        found[name] = rollout(model, burn_in(model, frames, np.zeros((1, 7, 9), np.float32)), turns)
    return found


def test_each_switch_takes_its_part_away(after_turns):
    memory = {name: made.state.memory for name, made in after_turns.items()}
    whole = memory["whole"]
    assert min(whole.views.shape[1], whole.margins.shape[-1], whole.fresh.shape[1]) > 0, "there is something to take"
    assert {name for name, m in memory.items() if m.views.shape[1] == 0} == {"no_views", "no_memory"}
    assert {name for name, m in memory.items() if m.margins.shape[-1] == 0} == {"no_margins", "no_memory"}
    assert {name for name, m in memory.items() if m.fresh.shape[1] == 0} == {"no_painter"}


def test_each_part_shows(after_turns):
    shown = {name: made.frames.tobytes() for name, made in after_turns.items()}
    assert len(set(shown.values())) == len(shown)


def test_lines_of_each_seed(monkeypatch):
    asked = []

    def evaluate(folder, *, seed, load, **_):
        model, _ = load(folder)
        asked.append((model.painter is None, seed))
        return {"seed": seed}

    monkeypatch.setattr(ablations, "evaluate", evaluate)
    monkeypatch.setattr(ablations, "figures_of", dict)
    monkeypatch.setattr(ablations, "step_ms", lambda *_: 1.0)
    lines = list(ablate(shipped_folder(), ["whole", "no_painter"], seeds=[3, 4], episodes=1, progress=quiet))
    assert [(x.name, x.seed, x.figures["seed"]) for x in lines] == [
        ("whole", 3, 3),
        ("no_painter", 3, 3),
        ("whole", 4, 4),
        ("no_painter", 4, 4),
    ]
    assert asked == [(False, 3), (True, 3), (False, 4), (True, 4)]


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (["no_flow"], [1], "unknown ablation 'no_flow': expected some of whole, no_views, "),
        (["whole"], [], "1 ablations of 0 seeds: expected at least 1 of both"),
    ],
)
def test_nonsense_is_refused_before_any_work(names, seeds, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ablate(tmp_path, names, seeds=seeds, episodes=1, progress=quiet)
