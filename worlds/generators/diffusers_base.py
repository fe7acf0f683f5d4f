"""A diffusers-style pipeline as a base that objectives.py can align: nabla-DB and what it is compared with.

Of the pipeline these are used: `unet` (or any denoiser of that call), `scheduler` for alphas_cumprod and
prediction_type, `tokenizer` and `text_encoder`. What makes pictures of a latent is given by the caller, since that is
where such pipelines differ, and has to be differentiable: (z, cameras) -> [B, V, H, W, 3] in [0, 1].

    base = DiffusersBase(pipe, shape=(4, 8, 8), decode=decode)
    adapt(base, rank)
    optimizer = torch.optim.AdamW(weights(base), lr)
    said, others = base.say(captions), base.say(blank)
    loss, worth = Follow(base, Snapshot(base), reward, config, said, others, captions, rng).loss()

Rewards see a Scene of those pictures alone, so those of pictures' colours fit; voxels, depth and normals are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from terrarium.worlds.generators.model import Said, together
from terrarium.worlds.generators.rewards import Scene
from terrarium.worlds.voxels.camera import Camera
from terrarium.worlds.voxels.render import Picture

Decode = Callable[[Tensor, Sequence[Camera]], Tensor]
ATTENTION = ("to_q", "to_k", "to_v")  # of diffusers' attention, what gets adapters, beside to_out's linear layer


class DiffusersBase(nn.Module):
    """`shape`: of a latent; `size`: blocks, or whatever the cameras' distance is measured in, along a side of what is
    decoded. ValueError for a prediction that is none of diffusers' three."""

    alpha: Tensor
    sigma: Tensor

    def __init__(self, pipe: Any, *, shape: tuple[int, ...], decode: Decode, size: int = 1) -> None:
        super().__init__()
        self.denoiser, self.text_encoder, self.tokenizer = pipe.unet, pipe.text_encoder, pipe.tokenizer
        self.shape, self.decode, self.size = shape, decode, size
        self.prediction: str = pipe.scheduler.config.prediction_type
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise ValueError(f"prediction_type {self.prediction!r}: expected epsilon, v_prediction or sample")
        alphabar = pipe.scheduler.alphas_cumprod
        self.register_buffer("alpha", alphabar.sqrt(), persistent=False)
        self.register_buffer("sigma", (1 - alphabar).sqrt(), persistent=False)
        self.requires_grad_(False)

    def layers(self) -> list[nn.Module]:
        """Those that adapters stand beside (lora.py)."""
        attentions = [each for each in self.denoiser.modules() if all(hasattr(each, name) for name in ATTENTION)]
        return [layer for each in attentions for layer in (each.to_q, each.to_k, each.to_v, each.to_out[0])]

    @torch.no_grad()
    def say(self, captions: Sequence[str]) -> Said:
        tokens = self.tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt")
        states = self.text_encoder(tokens.input_ids.to(self.alpha.device))[0]
        return Said(states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device), states.mean(1))

    def guided(self, z: Tensor, t: Tensor, said: Said, others: Said | None, cfg: float) -> Tensor:
        """As Generator.guided."""
        if others is None or cfg == 1:
            return self.denoiser(z, t, encoder_hidden_states=said.states).sample
        states = together(said, others).states
        toward, away = self.denoiser(torch.cat([z, z]), torch.cat([t, t]), encoder_hidden_states=states).sample.chunk(2)
        return away + cfg * (toward - away)

    def clean(self, predicted: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """The clean latent that a prediction at z means."""
        alpha, sigma = (level[t].view(-1, *[1] * (z.ndim - 1)) for level in (self.alpha, self.sigma))
        if self.prediction == "epsilon":
            return (z - sigma * predicted) / alpha
        return alpha * z - sigma * predicted if self.prediction == "v_prediction" else predicted

    def scene(self, clean: Tensor, cameras: Sequence[Camera], captions: Sequence[str]) -> Scene:
        """What rewards see of clean latents."""
        return Decoded(self.decode(clean, cameras), cameras, captions)


class Decoded(Scene):
    """A Scene of pictures [B, V, H, W, 3] alone, opaque everywhere."""

    def __init__(self, rgb: Tensor, cameras: Sequence[Camera], captions: Sequence[str]) -> None:
        nothing = rgb.new_zeros(len(rgb), 0, 0, 0)
        super().__init__(nothing, nothing.unsqueeze(-1), cameras, captions)
        self.rgb = rgb

    @property
    def pictures(self) -> list[list[Picture]]:
        return [[opaque(rgb) for rgb in row] for row in self.rgb]


def opaque(rgb: Tensor) -> Picture:
    flat = rgb[..., 0].detach()
    return Picture(rgb, torch.ones_like(flat), torch.zeros_like(flat), torch.zeros_like(rgb.detach()))
