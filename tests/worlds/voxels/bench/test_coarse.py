"""The comparison of coarse to fine with the full size alone says when which IoU was reached."""

from dataclasses import replace

from terrarium.worlds.voxels import export
from terrarium.worlds.voxels.bench import coarse


def test_both_ways_are_measured(monkeypatch):
    monkeypatch.setattr(export, "TURN", 2)
    small = coarse.generate_rebuild
    monkeypatch.setattr(coarse, "generate_rebuild", lambda target: replace(small(target), image=16, views=4))
    alone, after = (coarse.measured(3, 16, coarse_steps, 2) for coarse_steps in (0, 2))
    assert (alone["coarse_steps"], after["coarse_steps"]) == (0, 2) and alone["processor_s"] > 0
    assert {f"s_to_{level}" for level in coarse.LEVELS} < set(alone)


def test_the_first_time_counts():
    clock = coarse.Clock()
    clock.metrics(20, {"loss": 1.0})
    clock.metrics(40, {"iou": 0.91})
    clock.metrics(60, {"iou": 0.85})
    assert set(clock.reached) == {0.8, 0.9}
