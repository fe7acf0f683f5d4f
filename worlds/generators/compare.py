"""Alignment methods side by side: the same base, rewards, budgets and sizes, a row for each reward, method and seed.

A row trains until its last step or until a budget is left. Its best measurement within the budgets is then drawn from
once more, for captions and noise on which nothing was chosen, the same for every row, beside the base's. Whether a bar
is met is decided by these figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from terrarium.worlds.durable import write_text
from terrarium.worlds.generators.align import align_generator, measurement, reward_of
from terrarium.worlds.generators.evaluate import FIRST_SEED
from terrarium.worlds.generators.kinds import AlignConfig, RewardName
from terrarium.worlds.generators.lora import adapt, base_of
from terrarium.worlds.generators.model import STEPS, Generator, load_generator, shipped_generator
from terrarium.worlds.json_file import read_object
from terrarium.worlds.progress import Part, Progress
from terrarium.worlds.training.states import newest_state

METHODS: dict[str, dict[str, Any]] = {
    "nabla": {"method": "nabla"},
    "refl": {"method": "refl"},
    "draft1": {"method": "draft", "draft_steps": 1},
    "draftk": {"method": "draft", "draft_steps": 4},
    "ddpo": {"method": "ddpo"},
}
REPORT_SEED = 4242
MORE = 3.0  # times the base's reward
CLOSED = 0.4  # share of the gap to 1, where so many times the base's would be more than 1
FARTHEST, LEAST_DIVERSE = 3.0, 0.85  # of the base's distance and diversity
Shown = Callable[[str], AbstractContextManager[Progress]]
Figures = dict[str, float]
Measure = Callable[[Generator], Figures]


@dataclass(frozen=True)
class Row:
    """`base`, `best`: the last figures; `step` is the best's, 0 where no measurement was within the budgets, so that
    the best is the base. `points`: the run's own measurements, the base's first. Seconds include them."""

    reward: str
    method: str
    seed: int
    iterations: int
    step: int
    seconds: float
    cpu_seconds: float
    base: Figures
    best: Figures
    bars: dict[str, bool]
    points: list[Figures]
    config: dict[str, Any]


def compare(
    rewards: Mapping[str, float],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    config: AlignConfig,
    worlds: int,
    out: Path,
    progress: Shown,
) -> Iterator[Row]:
    """`rewards`: what nabla's `reward_scale` is for each; `worlds`: of a row's last figures.

    Rows by seed, reward and method, into `out`/<reward>/<method>/<seed>; what is finished there is not done again,
    what is under way goes on. ValueError, before any work, for an unknown method and for what the config refuses."""
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"unknown method {unknown[0]!r}: expected some of {', '.join(METHODS)}")
    if not (rewards and methods and seeds):
        raise ValueError(f"{len(rewards)} rewards, {len(methods)} methods, {len(seeds)} seeds: expected some of each")
    generator, manifest = load_generator(Path(config.generator) if config.generator else shipped_generator())
    configs = {
        reward: replace(config, rewards=(cast(RewardName, reward),), reward_weights=(), reward_scale=scale)
        for reward, scale in rewards.items()
    }
    for each in configs.values():
        reward_of(each, generator)
    return (
        one(replace(configs[reward], seed=seed, **METHODS[method]), method, worlds, manifest["sha256"], out, progress)
        for seed in seeds
        for reward in rewards
        for method in methods
    )


def one(config: AlignConfig, method: str, worlds: int, base: str, out: Path, progress: Shown) -> Row:
    (reward,), seed = config.rewards, config.seed
    folder = out / reward / method / str(seed)
    given = json.loads(json.dumps({**asdict(config), "base": base, "reported": worlds}))
    if (folder / "row.json").is_file():
        row = Row(**read_object(folder / "row.json"))
        if changed := [f"{k} {given[k]!r}, was {row.config.get(k)!r}" for k in given if given[k] != row.config.get(k)]:
            raise ValueError(f"{folder} belongs to another config ({'; '.join(changed)}): expected an empty folder")
        return row
    with progress(f"{reward}, {method}, seed {seed}") as shown:
        timed = Timed(shown, config.steps, folder / "seconds.json")
        align_generator(config, folder, timed)
    log = read_object(folder / "pareto.json")
    report = reported(config, worlds)
    before = base_figures(config, worlds, report, out / reward / "base.json")
    points = [{"step": 0, **log["base"]}, *log["steps"]]
    step = log["best"]
    check_base(config, folder)
    best = report(load_generator(folder / "output")[0]) if step else before
    row = Row(
        reward=reward,
        method=method,
        seed=seed,
        iterations=log["steps"][-1]["step"],
        step=step,
        **timed.spent(),
        base=before,
        best=best,
        bars=bars(best, before),
        points=points,
        config=given,
    )
    write_text(folder / "row.json", json.dumps(asdict(row), indent=1))
    return row


class Timed(Part):
    """Keeps, beside each saved state, the seconds that it took to get there: by the wall, and of the processor."""

    def __init__(self, progress: Progress, steps: int, file: Path) -> None:
        super().__init__(progress, 0, steps)
        self.kept = file
        self.earlier = read_object(file) if file.is_file() else {"seconds": 0.0, "cpu_seconds": 0.0}
        self.started = time.monotonic(), time.process_time()

    def spent(self) -> dict[str, float]:
        now = time.monotonic(), time.process_time()
        both = zip(self.earlier.items(), now, self.started, strict=True)
        return {name: round(earlier + at - start, 2) for (name, earlier), at, start in both}

    def checkpoint(self, step: int, path: Path) -> None:
        write_text(self.kept, json.dumps(self.spent()))
        super().checkpoint(step, path)


def reported(config: AlignConfig, worlds: int) -> Measure:
    """Of other captions and other noise than the run's own measurements, alike for all rows of a reward."""
    generator, _ = load_generator(Path(config.generator) if config.generator else shipped_generator())
    other = replace(config, worlds=worlds, seed=REPORT_SEED)
    _, measure = measurement(other, generator, reward_of(other, generator), FIRST_SEED + 500)
    return lambda of: measure(of)[0]


def base_figures(config: AlignConfig, worlds: int, report: Measure, file: Path) -> Figures:
    """The base's, measured once for all rows of a reward."""
    read = (
        "generator",
        "rewards",
        "material",
        "target",
        "views",
        "random_view",
        "captions",
        "sampling_steps",
        "eta",
        "cfg",
    )
    given = json.loads(json.dumps({"worlds": worlds} | {name: getattr(config, name) for name in read}))
    if file.is_file() and (found := read_object(file))["config"] == given:
        return found["figures"]
    generator, _ = load_generator(Path(config.generator) if config.generator else shipped_generator())
    figures = report(generator)
    write_text(file, json.dumps({"config": given, "figures": figures}, indent=1))
    return figures


def check_base(config: AlignConfig, run: Path) -> None:
    """With a run's adapters switched off, the generator must be its base, bit for bit."""
    generator, _ = load_generator(Path(config.generator) if config.generator else shipped_generator())
    plain = probe(generator)
    adapt(generator, config.rank)
    generator.load_state_dict(newest_state(run).part("model"), strict=False)
    assert not probe(generator).equal(plain), f"{run} learned nothing"
    with base_of(generator):
        assert probe(generator).equal(plain), f"{run}: the base differs with its adapters switched off"


@torch.no_grad()
def probe(generator: Generator) -> torch.Tensor:
    """What it predicts for some noise at some times."""
    t = torch.arange(0, STEPS, STEPS // 4, device=generator.alpha.device)
    z = torch.randn(len(t), *generator.shape, generator=torch.Generator().manual_seed(0))
    return generator(z.to(t.device), t, generator.say([""] * len(t)))


def bars(best: Figures, base: Figures) -> dict[str, bool]:
    least = MORE * base["reward"]
    if least > 1:
        least = base["reward"] + CLOSED * (1 - base["reward"])
    return {
        "reward": best["reward"] >= least,
        "fd": best["fd"] <= FARTHEST * base["fd"],
        "diversity": best["diversity"] >= LEAST_DIVERSE * base["diversity"],
    }


def at_equal_distance(rows: Sequence[Row]) -> dict[str, dict[str, list[float]]]:
    """{reward: {method: highest reward of each seed's run, no farther than nabla's best was and diverse enough}}."""
    found: dict[str, dict[str, list[float]]] = {}
    budgets = {(row.reward, row.seed): point_of(row)["fd"] for row in rows if row.method == "nabla"}
    for row in rows:
        if (row.reward, row.seed) not in budgets:
            continue
        base, budget = row.points[0], budgets[row.reward, row.seed]
        near = [p for p in row.points if p["fd"] <= budget and p["diversity"] >= LEAST_DIVERSE * base["diversity"]]
        best = max((p["reward"] for p in near), default=base["reward"])
        found.setdefault(row.reward, {}).setdefault(row.method, []).append(best)
    return found


def point_of(row: Row) -> Figures:
    """The run's own measurement of its best."""
    return next(point for point in row.points if point["step"] == row.step)
