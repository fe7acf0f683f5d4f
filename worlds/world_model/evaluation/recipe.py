"""Does the model do what the keys say, and for how long? Measured against the simulator on seeds new to it.

    terrarium eval world-model shipped --seed 7 --episodes 20 --json

Each group of figures has a file of its own in worlds/world_model/evaluation, which defines them: retrieval, rollouts,
motion, memory, judged, frechet, realism, stability, parity. All rollouts draw their codes as live play does, at its
temperature, from a generator of the evaluation's seed: the likeliest codes alone are duller, and farther from the truth
in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrarium.worlds.device import default_device, fork_random
from terrarium.worlds.pictures.metrics import save_sheet, save_strip
from terrarium.worlds.precision import precision_now
from terrarium.worlds.progress import Progress, Silent
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.evaluation import stability
from terrarium.worlds.world_model.evaluation.frechet import far_distance
from terrarium.worlds.world_model.evaluation.judged import judged, read
from terrarium.worlds.world_model.evaluation.long import (
    BEFORE,
    HELD,
    RANDOM,
    Looks,
    Walks,
    chunks,
    long_walks,
    reference_clips,
)
from terrarium.worlds.world_model.evaluation.memory import memory
from terrarium.worlds.world_model.evaluation.motion import motion
from terrarium.worlds.world_model.evaluation.parity import parity
from terrarium.worlds.world_model.evaluation.parts import Part, Parts
from terrarium.worlds.world_model.evaluation.realism import look, realism
from terrarium.worlds.world_model.evaluation.report import write_report
from terrarium.worlds.world_model.evaluation.retrieval import hold_probes, retrieval
from terrarium.worlds.world_model.evaluation.rollouts import rollout_quality
from terrarium.worlds.world_model.evaluation.states import Phases, Trial, find_trials, pack, simulator, unpack
from terrarium.worlds.world_model.judge.model import KEYS, Judge, load_judge, shipped_judge
from terrarium.worlds.world_model.kinds import EvaluateConfig
from terrarium.worlds.world_model.probe.model import Probe, load_probe, shipped_probe
from terrarium.worlds.world_model.rollout import TEMPERATURE, State, WorldModel, burn_in, load_world_model, rollout

CLIPS = 8  # real ones, whose features the judge's Frechet distance is to
SHOWN = (1, 8, 32, 64, 128, 256, 512)  # steps of a long rollout that its strip and the sheet show
SHEET = 16  # walks


@fork_random()
def evaluate(
    folder: Path,
    *,
    seed: int,
    episodes: int,
    progress: Progress | None = None,
    out: Path | None = None,
    states: Path | None = None,
    kinds: Collection[str] = tuple(HELD),
    load: Callable[[Path], tuple[WorldModel, dict[str, Any]]] = load_world_model,
) -> dict[str, Any]:
    """The evaluation of a world-model checkpoint as a JSON dict; `out` also gets evaluation.json, report.html,
    rollouts.png, long.png and sheet.png. The model computes in fp32, or in what the caller chose
    (`precision.computing_in`). `states` keeps the finished parts, after which the next run of the same evaluation goes
    on. `kinds`: those of long walks beside random ones. `load`: what makes a model of the folder; one without codes
    has neither `parity` nor the cross-entropies. ValueError for a checkpoint that no simulator goes with."""
    torch.manual_seed(seed)
    model, manifest = load(folder)
    world = simulator(manifest)
    phases = Phases(progress or Silent(), total=episodes + chunks() + 6)
    for module in (model, model.tokenizer.encoder, model.tokenizer.decoder):
        module.register_forward_pre_hook(lambda *_: phases.go_on())
    head = {"checkpoint_sha256": manifest["sha256"], "seed": seed, "episodes": episodes, "temperature": TEMPERATURE}
    head["precision"] = precision_now(default_device())
    parts = Parts(states, head | {"kinds": sorted(kinds)}, phases.progress)
    trials = unpack(*parts(lambda: pack(find_trials(world, seed, episodes, phases))))
    state = burn_in(model, np.stack([t.frames for t in trials]), np.stack([t.actions for t in trials]))

    held, values = parts(lambda: _held(model, trials, state))
    phases.step("retrieval")
    short, found = parts(lambda: _short(model, trials, state))
    values |= found
    phases.step("rollouts")
    probes = held["probes"].numpy()
    _, found = parts(lambda: ({}, motion(model, world, trials, state, probes) | memory(model, world, trials, state)))
    values |= found
    phases.step("motion and memory")
    walks, looks = long_walks(model, world, seed, episodes, phases, parts, kinds)
    clips = reference_clips(world, seed, min(CLIPS, len(walks.actions)), phases)
    phases.step("reference clips")
    values |= _long(model, walks, clips, seed)
    if isinstance(model, Dynamics):
        values |= parity(model, trials)
    phases.step("long rollouts read")
    values |= parts(lambda: ({}, _real(looks, seed, phases)))[1]
    phases.step("realism")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _pictures(out, trials, short["frames"].numpy(), walks)
        write_report(head | values, out)
    return head | values


def evaluate_recipe(config: EvaluateConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Recipe `world-model.evaluate`: `output/` holds the evaluation, its report and the report's pictures."""
    output = out_dir / "output"
    result = evaluate(
        Path(config.checkpoint),
        seed=config.seed,
        episodes=config.episodes,
        progress=progress,
        out=output,
        states=out_dir / "state",
    )
    for name in ("rollouts", "long", "sheet"):
        progress.preview(name, output / f"{name}.png")
    progress.file(output / "report.html", "The evaluation on one page")
    progress.file(output / "evaluation.json", "All figures")
    return result


def _held(model: WorldModel, trials: list[Trial], state: State) -> Part:
    """Every probe held from every state, and the figures on that."""
    probes = hold_probes(model, state)
    return {"probes": torch.from_numpy(probes)}, retrieval(model, trials, probes)


def _short(model: WorldModel, trials: list[Trial], state: State) -> Part:
    """Frames of the rollouts along the trials' walks, and the figures on them."""
    own = rollout(model, state, torch.from_numpy(np.stack([t.walk_actions for t in trials])))
    values = rollout_quality(model, trials, own.frames)
    if isinstance(model, Dynamics):
        values |= stability.ce_gap(model, trials, state, own)
    return {"frames": torch.from_numpy(own.frames)}, values | {"noop_churn": stability.noop_churn(model, state)}


def _long(model: WorldModel, walks: Walks, clips: np.ndarray, seed: int) -> dict[str, Any]:
    values: dict[str, Any] = {"long_rollouts": [{"rollouts": len(walks.actions), "steps": walks.steps}]}
    judge, why_not, thresholds = fitting_judge(walks.real.shape[2:4])
    if judge is None:
        values |= {"judge": {"available": False, "reason": why_not}, "judge_f1": None, "judge_ceiling": None}
        values |= {"judge_floor": None, "frechet_distance": None}
    else:
        reading = read(judge, thresholds, walks)
        real = judge.read(clips)[1]
        values |= {"judge": {"available": True, "keys": list(KEYS)}} | judged(reading, seed)
        values |= far_distance(reading, real.reshape(-1, real.shape[-1]))
    return values | stability.settled(model, walks) | stability.curves(model, walks)


def _real(looks: dict[str, Looks], seed: int, phases: Phases) -> dict[str, Any]:
    probe, why_not, sure = fitting_probe(looks[RANDOM].real.shape[2:4])
    if probe is None:
        names = ("realism", "realism_held", "realism_structure", "realism_spread", "steps_to_divergence")
        return {"probe": {"available": False, "reason": why_not}} | dict.fromkeys(names)
    sides = {}
    for kind, frames in looks.items():
        own, real, other = (look(probe, sure, x) for x in (frames.own, frames.real, frames.other))
        sides[kind] = own, real, other
        phases.go_on()
    return {"probe": {"available": True}} | realism(sides, seed) | stability.divergence(*sides[RANDOM])


def fitting_judge(frame_size: tuple[int, ...]) -> tuple[Judge | None, str, dict[str, float]]:
    """The shipped judge and its thresholds; None and the reason where it cannot read frames of that size."""
    folder = shipped_judge()
    if not (folder / "manifest.json").is_file():
        return None, "no judge comes with this build: terrarium train judge makes one", {}
    judge, manifest = load_judge(folder)
    if tuple(frame_size) != judge.frame_size:
        have, want = ("x".join(map(str, s)) for s in (frame_size, judge.frame_size))
        return None, f"frames of {have}: the judge that comes with Terrarium reads {want}", {}
    return judge, "", manifest["thresholds"]


def fitting_probe(frame_size: tuple[int, ...]) -> tuple[Probe | None, str, float]:
    """The shipped probe and what is sure for it; None and the reason where it cannot read frames of that size."""
    folder = shipped_probe()
    if not (folder / "manifest.json").is_file():
        return None, "no probe comes with this build: terrarium train probe makes one", 1.0
    probe, manifest = load_probe(folder)
    if tuple(frame_size) != probe.frame_size:
        have, want = ("x".join(map(str, s)) for s in (frame_size, probe.frame_size))
        return None, f"frames of {have}: the probe that comes with Terrarium reads {want}", 1.0
    return probe, "", manifest["sure"]


def _pictures(out: Path, trials: list[Trial], short: np.ndarray, far: Walks) -> None:
    """The model above the simulator: short rollouts frame by frame, the first long ones at SHOWN, none selected."""
    pairs = list(zip(short, trials, strict=True))[:4]
    save_strip(out / "rollouts.png", [x for own, t in pairs for x in (own, t.walk_frames)])
    at = [BEFORE + k - 1 for k in SHOWN]
    own, real = far.own[:, at], far.real[:, at]
    save_strip(out / "long.png", [x for pair in zip(own[:3], real[:3], strict=True) for x in pair])
    save_sheet(out / "sheet.png", own[:SHEET], real[:SHEET])
