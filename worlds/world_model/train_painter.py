"""The last two stages of `world-model.train`: a painter for a trained world model (painter_losses.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from terrarium.worlds.episodes.format import Dataset, Episode
from terrarium.worlds.training import parallel
from terrarium.worlds.training.schedules import cosine, product
from terrarium.worlds.training.schedules import warm_up as warm_up_rate
from terrarium.worlds.training.task import Batch, Learner, LossFn, Stage, Step, Task
from terrarium.worlds.world_model.data import FrameStore
from terrarium.worlds.world_model.discriminator import roughness
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.kinds import WorldModelConfig
from terrarium.worlds.world_model.painter_losses import Loop, Painting, warm_up_loss
from terrarium.worlds.world_model.tokenizer import channels_last, to_pictures
from terrarium.worlds.world_model.walks import EVERY, YOUNG, Walks

BETAS = (0.0, 0.99)
CALM = (0.9, 0.99)  # without an adversary
FASTER = 2.0  # the discriminator's learning rate over the painter's
LAST = 0.1  # of the learning rate, at the end
CLIP = 10.0  # of gradient norms in the loop, of 3 to 13 mostly: now and then the discriminator's is 50
EMA = 0.995
ROUGH_FRAMES = 512  # that the world's roughness is measured on


def painter_steps(config: WorldModelConfig) -> int:
    return config.painter_warm_up + config.painter_steps if config.painter and not config.keep_painter else 0


def painter_stages(
    config: WorldModelConfig, dataset: Dataset, preview: Callable[[nn.Module, int], None]
) -> list[Stage]:
    """After a stage whose model is a Dynamics; their own is a `Painting`."""
    episodes = dataset.split("train")
    frames = FrameStore(episodes)

    def warm_up(before: nn.Module | None) -> Task:
        assert isinstance(before, Dynamics)
        torch.manual_seed(config.seed)
        model = channels_last(Painting(before, config.painter_channels))
        return Task(
            model=model,
            learners=[
                Learner(
                    loss=lambda _, pictures: warm_up_loss(model, pictures),
                    optimizer=torch.optim.Adam(model.painter.parameters(), config.painter_lr, CALM),
                    schedule=product(warm_up_rate(50), cosine(config.painter_warm_up, LAST)),
                    clip=1.0,
                )
            ],
            sample=lambda step: (torch.from_numpy(frames.sample(step.rng, config.batch, step.part)),),
            ema=EMA,
            frozen=[model.dynamics],
            preview=preview,
        )

    def in_the_loop(before: nn.Module | None) -> Task:
        assert isinstance(before, Painting)
        model, parts = before, config.accumulate * parallel.world_size()
        rows, walks = (-(-n // parts) for n in (config.painter_rows, config.painter_walks))
        names = dataset.manifest["action_names"]
        pools = [
            Walks(model.dynamics, episodes, names, walks, config.painter_longest) for _ in range(config.accumulate)
        ]
        some = to_pictures(frames.sample(np.random.default_rng(config.seed), ROUGH_FRAMES))
        rough = roughness(some).mean(dim=(0, 2, 3)).to(model.dynamics.device)
        losses = Loop(model, pools, rows, rough, config.painter_steps)

        def learner(name: str, module: nn.Module, loss: LossFn, lr: float) -> Learner:
            optimizer = torch.optim.Adam(module.parameters(), lr, BETAS)
            schedule = cosine(config.painter_steps, LAST)
            return Learner(name=name, loss=loss, optimizer=optimizer, schedule=schedule, clip=CLIP)

        def sample(step: Step) -> Batch:
            part, parts = step.part
            pictures = frames.sample(step.rng, parts * (rows + walks + YOUNG), step.part)
            starts = [sample_start(episodes, config.burn_in, step.rng) for _ in range(parts)]
            return torch.from_numpy(pictures), *starts[part]

        return Task(
            model=model,
            learners=[
                learner("painter", model.painter, losses.painter_loss, config.painter_lr),
                learner("discriminator", model.discriminator, losses.discriminator_loss, FASTER * config.painter_lr),
            ],
            sample=sample,
            ema=EMA,
            frozen=[model.dynamics],
            extra=Pools(pools),
            preview=preview,
        )

    return [Stage("painter", config.painter_warm_up, warm_up), Stage("walks", config.painter_steps, in_the_loop)]


class Pools:
    """Of the parts that one process computes. Under torchrun a resume gives all processes those of the first."""

    def __init__(self, pools: list[Walks]) -> None:
        self.pools = pools

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {f"{i}.{k}": x for i, pool in enumerate(self.pools) for k, x in pool.state_dict().items()}

    def load_state_dict(self, state: dict[str, torch.Tensor], /) -> None:
        for i, pool in enumerate(self.pools):
            pool.load_state_dict({k.removeprefix(f"{i}."): x for k, x in state.items() if k.startswith(f"{i}.")})


def sample_start(episodes: list[Episode], length: int, rng: np.random.Generator) -> Batch:
    """A clip to begin a walk with -> frames uint8 [T, H, W, 3], the actions between them [T-1, A], and int64 [2], the
    episode and its frame that the last of them is. The episode goes on for as long as a walk is young, if it can."""
    which = int(rng.integers(len(episodes)))
    e = episodes[which]
    first = int(rng.integers(max(1, len(e.actions) - length - YOUNG * EVERY)))
    last = first + length - 1
    frames, actions = np.array(e.frames[first : last + 1]), np.array(e.actions[first:last])
    return torch.from_numpy(frames), torch.from_numpy(actions), torch.tensor([which, last])
