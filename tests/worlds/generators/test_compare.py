"""The table of alignment methods: rows that are done stay, one under way goes on, bars and equal distances."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
from training_toys import Log

from terrarium.worlds.generators import compare as table
from terrarium.worlds.generators.compare import Row, at_equal_distance, bars, compare
from terrarium.worlds.generators.kinds import AlignConfig, align_debug
from terrarium.worlds.progress import Stopped


@pytest.fixture
def config(folder) -> AlignConfig:
    free = {"fd_budget": 1e6, "diversity_budget": 0.0}
    return replace(align_debug(), generator=str(folder), worlds=4, steps=2, sampling_steps=2, **free)


def rows_of(config, out, log=None, methods=("nabla", "draft1")) -> list[Row]:
    return list(
        compare(
            {"palette": 50.0},
            methods,
            [0],
            config=config,
            worlds=4,
            out=out,
            progress=lambda _: nullcontext(log or Log()),
        )
    )


def test_what_is_done_is_not_done_again_and_what_is_not_goes_on(config, tmp_path, monkeypatch) -> None:
    first, second = rows_of(config, tmp_path / "whole")
    assert (first.method, second.method) == ("nabla", "draft1") and first.base == second.base
    assert [point["step"] for point in first.points] == [0, 2] and first.iterations == 2 and first.cpu_seconds > 0
    with pytest.raises(Stopped):
        rows_of(config, tmp_path / "pieces", Log(stop_at=1), ["nabla"])
    before = json.loads((tmp_path / "pieces" / "palette" / "nabla" / "0" / "seconds.json").read_text())
    (resumed,) = rows_of(config, tmp_path / "pieces", again := Log(), ["nabla"])
    assert again.resumed_at == 1 and resumed.cpu_seconds > before["cpu_seconds"]
    assert (resumed.points, resumed.best) == (first.points, first.best)
    monkeypatch.setattr(table, "align_generator", None)
    assert rows_of(config, tmp_path / "whole") == [first, second]
    with pytest.raises(ValueError, match=r"belongs to another config \(batch 4, was 2\): expected an empty folder"):
        rows_of(replace(config, batch=4), tmp_path / "whole")


@pytest.mark.parametrize(
    ("rewards", "methods", "match"),
    [
        (["palette"], ["nabla", "ppo"], "unknown method 'ppo': expected some of nabla, refl"),
        (["shine"], ["nabla"], "unknown reward 'shine'"),
        (["silhouette"], ["nabla"], "reward silhouette has no target"),
        (["palette"], [], "0 methods"),
    ],
)
def test_what_cannot_be_compared_is_refused_first(rewards, methods, match, config, tmp_path) -> None:
    with pytest.raises(ValueError, match=match):
        scales = dict.fromkeys(rewards, 50.0)
        compare(
            scales, methods, [0], config=config, worlds=4, out=tmp_path / "out", progress=lambda _: nullcontext(Log())
        )
    assert not (tmp_path / "out").exists()


def figures(step: int, reward: float, fd: float, diversity: float = 10.0) -> dict[str, float]:
    return {"step": step, "reward": reward, "fd": fd, "diversity": diversity}


def test_bars_are_those_of_the_base() -> None:
    base = figures(0, 0.25, 4.0)
    assert bars(figures(8, 0.75, 12.0, 8.5), base) == {"reward": True, "fd": True, "diversity": True}
    assert bars(figures(8, 0.74, 12.1, 8.4), base) == {"reward": False, "fd": False, "diversity": False}
    near_the_top = figures(0, 0.7, 4.0)
    assert bars(figures(8, 0.83, 4.0), near_the_top)["reward"]
    assert not bars(figures(8, 0.81, 4.0), near_the_top)["reward"]


def test_methods_are_compared_at_the_distance_of_nabla() -> None:
    base = figures(0, 0.2, 4.0)
    runs = {
        "nabla": [base, figures(8, 0.4, 5.0), figures(16, 0.5, 6.0), figures(24, 0.9, 99.0)],
        "draft1": [base, figures(8, 0.45, 5.9), figures(16, 0.8, 6.1), figures(24, 0.7, 5.0, diversity=8.0)],
        "refl": [base, figures(8, 0.9, 50.0)],
    }
    best = {"nabla": 16, "draft1": 16, "refl": 0}
    rows = [
        Row("palette", name, 0, 24, best[name], 1.0, 1.0, base, base, {}, points, {}) for name, points in runs.items()
    ]
    assert at_equal_distance(rows) == {"palette": {"nabla": [0.5], "draft1": [0.45], "refl": [0.2]}}
