"""Does the model do what the keys say? Measured against the simulator on seeds that training never saw.

- Counterfactual retrieval: from one state after eight real frames, hold every probe action for k steps in the model
  and in the simulator. Is the nearest simulator branch, both through the tokenizer, that of the same action? Chance is
  1 / probes. States in which two branches look the same (a wall in the way, a view that is clamped) cannot tell and
  are passed over; ties count as their share.
- Rollouts under a random walk: PSNR against the simulator, beside copying the last real frame, beside what the
  tokenizer could reach, beside the ratio of edge energies (blur raises PSNR and lowers that ratio).
- No-op churn: share of codes that change from frame to frame while no key is held.

Greedy codes throughout, so the numbers do not depend on a sampling seed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worlds.blocks.world import BlockWorld
from worlds.configs import EvaluateConfig
from worlds.metrics import edge_energy, psnr, save_strip
from worlds.progress import Progress, Silent, Stopped
from worlds.world_model import actions as act
from worlds.world_model.dynamics import Dynamics, Hidden
from worlds.world_model.record import Walker
from worlds.world_model.rollout import BURN_IN, burn_in, load_world_model, rollout
from worlds.world_model.tokenizer import Tokenizer

HELD = 4  # steps that a probe is held
RETRIEVAL_AT = (1, 4)
ROLLOUT_AT = (1, 4, 8, 16)
CHURN_STEPS = 16
FIRST_SEED = 1_000_000_000  # evaluation seeds start here; recording seeds are below
DISTINCT = 0.75  # mean absolute difference, of 255, by which two branches must differ to be told apart


@dataclass
class Trial:
    """One held-out state and what the simulator does from it."""

    frames: np.ndarray  # uint8 [BURN_IN, H, W, 3]
    actions: np.ndarray  # float32 [BURN_IN - 1, A]
    branches: np.ndarray  # uint8 [probes, HELD, H, W, 3]
    walk_actions: np.ndarray  # float32 [16, A]
    walk_frames: np.ndarray  # uint8 [16, H, W, 3]


def evaluate(
    folder: Path, *, seed: int, episodes: int, progress: Progress | None = None, strip: Path | None = None
) -> dict[str, Any]:
    """The evaluation of a world-model checkpoint as a JSON dict; `strip` also writes a PNG of rollouts there."""
    progress = progress or Silent()
    model, manifest = load_world_model(folder)
    tokenizer = model.tokenizer
    world = simulator(manifest)
    trials = _trials(world, manifest, seed, episodes, progress)
    codes = torch.stack([tokenizer.encode(t.frames) for t in trials])
    hidden = burn_in(model, codes, torch.from_numpy(np.stack([t.actions for t in trials])))
    last = codes[:, -1]
    result: dict[str, Any] = {"checkpoint_sha256": manifest["sha256"], "seed": seed, "episodes": episodes}
    result |= _retrieval(model, tokenizer, trials, last, hidden)
    progress.step(episodes + 1, episodes + 3, "retrieval")
    rolled, values = _rollouts(model, tokenizer, trials, last, hidden)
    progress.step(episodes + 2, episodes + 3, "rollouts")
    result |= values | {"noop_churn": _noop_churn(model, last, hidden)}
    progress.step(episodes + 3, episodes + 3, "churn")
    if strip is not None:
        save_strip(strip, [x for t, r in list(zip(trials, rolled, strict=True))[:4] for x in (r, t.walk_frames)])
    return result


def evaluate_recipe(config: EvaluateConfig, out_dir: Path, progress: Progress) -> dict[str, Any]:
    """Recipe `world-model.evaluate`."""
    result = evaluate(
        Path(config.checkpoint),
        seed=config.seed,
        episodes=config.episodes,
        progress=progress,
        strip=out_dir / "rollouts.png",
    )
    progress.preview("rollouts", out_dir / "rollouts.png")
    output = out_dir / "output"
    output.mkdir(exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(result, indent=1))
    return result


def simulator(manifest: dict[str, Any]) -> BlockWorld:
    """The world that a checkpoint was trained on; ValueError where it was another source."""
    data = manifest["data"]
    if data["source"].get("kind") != "blocks":
        raise ValueError(
            f"trained on {data['source'].get('kind')!r}: only block worlds have a simulator to compare with"
        )
    height, width = data["frame_size"]
    return BlockWorld(width=width, height=height, terrain=data["source"]["terrain"])


def _trials(world: BlockWorld, manifest: dict[str, Any], seed: int, episodes: int, progress: Progress) -> list[Trial]:
    if manifest["data"]["seeds"][1] >= FIRST_SEED:
        raise ValueError(
            f"trained on seed {manifest['data']['seeds'][1]}: seeds from {FIRST_SEED} on are for evaluation"
        )
    trials: list[Trial] = []
    tried = 0
    while len(trials) < episodes:
        if progress.stop_requested():
            raise Stopped
        if tried > 50 * episodes:
            raise ValueError(f"{tried} states of {world.terrain} and only {len(trials)} in which every action shows")
        trial = _trial(world, FIRST_SEED + (seed * 100_000 + tried) % 1_000_000_000)
        tried += 1
        if trial is not None:
            trials.append(trial)
            progress.step(len(trials), episodes + 3, "simulate")
    return trials


def _trial(world: BlockWorld, seed: int) -> Trial | None:
    """None where two probes look alike after one step."""
    walker = Walker(np.random.default_rng([seed, 0xE7A1]))
    frames, actions = [world.reset(seed)], []
    for _ in range(BURN_IN - 1):
        actions.append(walker.next(float(world.pose[4])))
        frames.append(world.step(actions[-1]))
    state = world.copy_state()
    first = []
    for name in act.PROBES:
        world.set_state(state)
        first.append(world.step(act.probe(name)).astype(np.int16))
    if any(np.abs(a - b).mean() < DISTINCT for i, a in enumerate(first) for b in first[:i]):
        return None
    branches = [_hold(world, state, act.probe(name)) for name in act.PROBES]
    world.set_state(state)
    walk_actions, walk_frames = [], []
    for _ in range(max(ROLLOUT_AT)):
        walk_actions.append(walker.next(float(world.pose[4])))
        walk_frames.append(world.step(walk_actions[-1]))
    return Trial(np.stack(frames), np.stack(actions), np.stack(branches), np.stack(walk_actions), np.stack(walk_frames))


def _hold(world: BlockWorld, state: Any, action: np.ndarray) -> np.ndarray:
    world.set_state(state)
    return np.stack([world.step(action) for _ in range(HELD)])


def _retrieval(
    model: Dynamics, tokenizer: Tokenizer, trials: list[Trial], last: torch.Tensor, hidden: Hidden
) -> dict[str, Any]:
    probes = len(act.PROBES)
    held = torch.from_numpy(np.stack([act.probe(n) for n in act.PROBES])).unsqueeze(1).expand(-1, HELD, -1)
    own = rollout(
        model, last.repeat_interleave(probes, 0), hidden.repeat(probes), held.repeat(len(trials), 1, 1)
    )  # [trials * probes, HELD, h, w]
    hits = {}
    for k in RETRIEVAL_AT:
        pictures = tokenizer.decode(own[:, k - 1]).numpy().reshape(len(trials), probes, -1).astype(np.float32)
        truth = np.stack([_through(tokenizer, t.branches[:, k - 1]) for t in trials]).reshape(len(trials), probes, -1)
        hits[k] = np.stack([_nearest_is_own(p, q) for p, q in zip(pictures, truth.astype(np.float32), strict=True)])
    return {
        "counterfactual_retrieval": {str(k): round(float(h.mean()), 4) for k, h in hits.items()},
        "retrieval_by_key": {
            str(k): {n: round(float(v), 4) for n, v in zip(act.PROBES, h.mean(axis=0), strict=True)}
            for k, h in hits.items()
        },
        "chance": round(1 / probes, 4),
    }


def _nearest_is_own(pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[P, N] each -> [P]: 1 where truth[i] is the nearest to pictures[i], 1/n on an n-fold tie, else 0."""
    distance = ((pictures[:, None] - truth[None]) ** 2).mean(axis=-1)
    best = distance <= distance.min(axis=1, keepdims=True)
    return np.diagonal(best) / best.sum(axis=1)


def _through(tokenizer: Tokenizer, frames: np.ndarray) -> np.ndarray:
    return tokenizer.decode(tokenizer.encode(frames)).numpy()


def _rollouts(
    model: Dynamics, tokenizer: Tokenizer, trials: list[Trial], last: torch.Tensor, hidden: Hidden
) -> tuple[list[np.ndarray], dict[str, Any]]:
    own = rollout(model, last, hidden, torch.from_numpy(np.stack([t.walk_actions for t in trials])))
    rolled = [tokenizer.decode(x).numpy() for x in own]
    values: dict[str, dict[str, float]] = {
        name: {} for name in ("rollout_psnr", "copy_last_psnr", "tokenizer_psnr", "edge_energy_ratio")
    }
    for k in ROLLOUT_AT:
        mine = np.stack([r[k - 1] for r in rolled])
        real = np.stack([t.walk_frames[k - 1] for t in trials])
        values["rollout_psnr"][str(k)] = round(float(psnr(mine, real).mean()), 3)
        values["copy_last_psnr"][str(k)] = round(float(psnr(np.stack([t.frames[-1] for t in trials]), real).mean()), 3)
        values["tokenizer_psnr"][str(k)] = round(float(psnr(_through(tokenizer, real), real).mean()), 3)
        values["edge_energy_ratio"][str(k)] = round(float(edge_energy(mine).mean() / edge_energy(real).mean()), 4)
    return rolled, values


def _noop_churn(model: Dynamics, last: torch.Tensor, hidden: Hidden) -> float:
    still = torch.from_numpy(act.action()).expand(len(last), CHURN_STEPS, -1)
    own = torch.cat([last.unsqueeze(1), rollout(model, last, hidden, still)], dim=1)
    return round(float((own[:, 1:] != own[:, :-1]).float().mean()), 4)
