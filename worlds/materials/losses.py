"""What training lowers: for each map L1, and besides SSIM of the albedo, the angle between normals, and cross-entropy
of the metalness, whose L1 has no gradient where the model is sure. Where there is a teacher, the same of its maps;
where there is a critic, what it thinks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.kernels import ssim
from terrarium.worlds.kinds import resolve
from terrarium.worlds.materials.adversary import Adversaries, critic_loss, generator_loss
from terrarium.worlds.materials.kinds import MaterialTrainConfig
from terrarium.worlds.materials.maps import ALBEDO, MAPS, METALLIC, NORMAL, unit
from terrarium.worlds.materials.model import MaterialNet, to_maps
from terrarium.worlds.precision import in_full
from terrarium.worlds.training.task import LossFn, Step

Parts = dict[str, Tensor]
OwnLossFn = Callable[[Tensor, Tensor], Tensor]  # found, true maps [B, 8, H, W] -> a number


def map_loss(
    found: Tensor, true: Tensor, weights: MaterialTrainConfig, metal_logits: Tensor | None = None
) -> tuple[Tensor, Parts]:
    """Of maps [B, 8, H, W], parts by their weights -> loss, its parts. 1 - cosine stands for the angle. Without the
    logits of the metalness [B, 1, H, W] no cross-entropy is counted."""
    with in_full(found):
        parts = {name: (found[:, at] - true[:, at]).abs().mean() for name, at in MAPS.items()}
        parts["ssim"] = 1 - ssim(found[:, ALBEDO].contiguous(), true[:, ALBEDO].contiguous(), 1.0).mean()
        parts["angle"] = 1 - (unit(found[:, NORMAL]) * unit(true[:, NORMAL])).sum(1).mean()
        if metal_logits is not None:
            parts["metal"] = F.binary_cross_entropy_with_logits(metal_logits, true[:, METALLIC])
        loss = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
    return loss, {name: part.detach() for name, part in parts.items()}


def own_loss(path: str | None) -> OwnLossFn | None:
    """What `module:function` names. ValueError where that is nothing to call."""
    if path is None:
        return None
    try:
        found = resolve(path)
    except (ImportError, AttributeError) as e:
        raise ValueError(f"own_loss {path}: {e}: expected module:function") from None
    if not callable(found):
        raise ValueError(f"own_loss {path} is {found!r}, expected a function")
    return cast(OwnLossFn, found)


def number(found: object, name: str) -> Tensor:
    """ValueError unless it is one number."""
    if not isinstance(found, Tensor) or found.numel() != 1:
        told = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"own_loss {name} returned {told}, expected a tensor of one number")
    return found.reshape(())


@dataclass(frozen=True, eq=False)
class Lesson:
    """The losses of a batch: rectified views [B, V, 3, H, W], poses [B, V, 3], maps [B, 8, H, W]."""

    config: MaterialTrainConfig
    teacher: MaterialNet | None = None
    own: OwnLossFn | None = None

    def alone(self, model: MaterialNet) -> LossFn:
        """Of a generator that nobody judges."""

        def loss_fn(step: Step, views: Tensor, poses: Tensor, maps: Tensor) -> tuple[Tensor, Parts]:
            _, loss, parts = self._generate(model, step, views, poses, maps)
            return loss, parts

        return loss_fn

    def judged(self, pair: Adversaries) -> LossFn:
        """Of a generator with a critic, whose weight rises over `gan_warmup` steps."""

        def loss_fn(step: Step, views: Tensor, poses: Tensor, maps: Tensor) -> tuple[Tensor, Parts]:
            found, loss, parts = self._generate(pair.generator, step, views, poses, maps)
            gan = generator_loss(self.config.gan_loss, pair.critic(found, views))
            rising = min(1.0, (step.index - step.begins + 1) / max(1, self.config.gan_warmup))
            return loss + rising * self.config.gan * gan, parts | {"gan": gan.detach()}

        return loss_fn

    def judging(self, pair: Adversaries) -> LossFn:
        """Of the critic."""

        def loss_fn(step: Step, views: Tensor, poses: Tensor, maps: Tensor) -> tuple[Tensor, Parts]:
            with torch.no_grad():
                fake = pair.generator(views, poses)
            real, fake = pair.critic(maps, views), pair.critic(fake, views)
            loss = critic_loss(self.config.gan_loss, real, fake)
            return loss, {"real": real.detach().mean(), "fake": fake.detach().mean()}

        return loss_fn

    def _generate(
        self, model: MaterialNet, step: Step, views: Tensor, poses: Tensor, maps: Tensor
    ) -> tuple[Tensor, Tensor, Parts]:
        """-> maps, loss, its parts. A teacher always sees every view, from where it was taken."""
        config = self.config
        fewer, unposed = step.rng.random(2) < (config.fewer_views, config.unposed)
        count = int(step.rng.integers(1, 3)) if fewer else views.shape[1]
        raw, clue = model.outputs(views[:, :count], None if unposed else poses[:, :count])
        found = to_maps(raw, clue)
        loss, parts = map_loss(found, maps, config, raw[:, METALLIC])
        if self.own is not None:
            with in_full(found):
                own = number(self.own(found.float(), maps), str(config.own_loss))
            loss, parts["own"] = loss + config.own_weight * own, own.detach()
        if self.teacher is not None:
            with torch.no_grad():
                told = self.teacher(views, poses)
            taught, _ = map_loss(found, told, config, raw[:, METALLIC])
            loss = (1 - config.distil) * loss + config.distil * taught
            parts["taught"] = taught.detach()
        return found, loss, parts
