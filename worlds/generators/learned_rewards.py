"""Rewards that networks give to pictures, from folders of weights on this machine (extra `sds`); all in [0, 1].

clip       how near a picture is to the caption: (1 + cosine) / 2 of CLIP's features (Radford et al. 2021,
           arXiv:2103.00020)
hps        the same by HPSv2, a CLIP that has learned which pictures people prefer (Wu et al. 2023, arXiv:2306.09341)
aesthetic  linear layers on CLIP's features that guess people's marks from 1 to 10 (LAION's predictor, Schuhmann et al.
           2022, arXiv:2210.08402), as sigmoid(mark - 5)
normal     how near normals are to those that an estimator sees in the picture: (1 + cosine) / 2 where there is
           anything. The estimator is Marigold's for normals (Ke et al. 2025, arXiv:2505.09358), in a single step from
           no noise, which is differentiable (Martin Garcia et al. 2024, arXiv:2409.11355)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from terrarium.worlds.device import default_device
from terrarium.worlds.generators.rewards import LEAST, Reward, Scene, Wish, facing

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SAY = "a render of {}"
HEAD = "aesthetic.safetensors"  # beside CLIP's files: <n>.weight and <n>.bias of its layers, in order
MIDDLE = 5.0  # of the marks
ESTIMATED = 64  # pixels that a side of a picture has, at least, for an estimator whose VAE halves it three times


class Clip:
    """ValueError where wish.models has no folder of that name, or it cannot be loaded."""

    name = "clip"

    def __init__(self, wish: Wish) -> None:
        folder = wish.folder(self.name)
        transformers = extra("transformers")
        self.model: Any = loaded(transformers.CLIPModel, folder)
        self.tokenizer = loaded(transformers.AutoTokenizer, folder, network=False)
        self.said: dict[str, Tensor] = {}  # features of captions, cached: a run says few, often

    def __call__(self, scene: Scene) -> Tensor:
        seen = self.seen(scene)
        said = torch.stack([self.text(caption) for caption in scene.captions]).unsqueeze(1)
        return ((1 + F.cosine_similarity(seen, said.to(seen), dim=-1)) / 2).mean(1)

    def seen(self, scene: Scene) -> Tensor:
        """Features of the pictures, [B, V, F]."""
        rgb = torch.stack([torch.stack([picture.rgb for picture in row]) for row in scene.pictures])
        side = self.model.config.vision_config.image_size
        x = F.interpolate(rgb.flatten(0, 1).movedim(-1, 1), (side, side), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
        pooled = self.model.vision_model(pixel_values=((x - mean) / std).to(self.model.device)).pooler_output
        return self.model.visual_projection(pooled).to(rgb.device).unflatten(0, rgb.shape[:2])

    @torch.no_grad()
    def text(self, caption: str) -> Tensor:
        if caption not in self.said:
            tokens = self.tokenizer(SAY.format(caption), truncation=True, return_tensors="pt").to(self.model.device)
            pooled = self.model.text_model(**tokens).pooler_output
            self.said[caption] = self.model.text_projection(pooled)[0]
        return self.said[caption]


class Hps(Clip):
    name = "hps"


class Aesthetic(Clip):
    name = "aesthetic"

    def __init__(self, wish: Wish) -> None:
        super().__init__(wish)
        file = Path(wish.folder(self.name)) / HEAD
        if not file.is_file():
            raise ValueError(f"{file} is not there: expected the weights of the predictor's linear layers")
        tensors = load_file(file)
        names = sorted({name.rpartition(".")[0] for name in tensors}, key=lambda name: int(name.rpartition(".")[2]))
        self.layers = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]

    def __call__(self, scene: Scene) -> Tensor:
        x = F.normalize(self.seen(scene), dim=-1)
        for weight, bias in self.layers:
            x = F.linear(x, weight.to(x), bias.to(x))
        return torch.sigmoid(x.squeeze(-1) - MIDDLE).mean(1)


class Normal:
    """`wish.context`: whether the gradient also flows through the estimate, to the picture. ValueError as Clip's."""

    name = "normal"

    def __init__(self, wish: Wish) -> None:
        pipe: Any = loaded(extra("diffusers").MarigoldNormalsPipeline, wish.folder(self.name), network=False)
        self.unet, self.vae = (part.to(default_device()).requires_grad_(False).eval() for part in (pipe.unet, pipe.vae))
        self.prediction = pipe.scheduler.config.prediction_type
        self.last = torch.tensor(pipe.scheduler.config.num_train_timesteps - 1)
        alphabar = float(pipe.scheduler.alphas_cumprod[-1])
        self.alpha, self.sigma = alphabar**0.5, (1 - alphabar) ** 0.5
        self.context, self.angle_mask = wish.context, wish.angle_mask
        with torch.no_grad():
            tokens = pipe.tokenizer("", padding="max_length", truncation=True, return_tensors="pt").input_ids
            self.empty = pipe.text_encoder(tokens)[0].to(default_device())

    def __call__(self, scene: Scene) -> Tensor:
        axes = [torch.tensor(camera.axes).to(scene.occupancy) for camera in scene.cameras]  # right, up, forward
        found = []
        for row in scene.pictures:
            agree = []
            for picture, camera, to_camera in zip(row, scene.cameras, axes, strict=True):
                with nullcontext() if self.context else torch.no_grad():
                    estimate = self.estimate(picture.rgb)
                normal = picture.normal @ to_camera.T * torch.tensor([1.0, 1.0, -1.0]).to(picture.normal)
                weight = picture.opacity * facing(picture, camera) if self.angle_mask else picture.opacity
                cosine = F.cosine_similarity(normal, estimate, dim=-1, eps=LEAST)
                agree.append(((1 + cosine) / 2 * weight).sum() / weight.sum().clamp(min=LEAST))
            found.append(torch.stack(agree).mean())
        return torch.stack(found)

    def estimate(self, rgb: Tensor) -> Tensor:
        """rgb [H, W, 3] in [0, 1] -> unit normals [H, W, 3] as the camera sees them: x right, y up, z towards it."""
        x = rgb.movedim(-1, 0).unsqueeze(0).to(self.vae.device)
        side = max(ESTIMATED, -(-rgb.shape[0] // 8) * 8)
        x = 2 * F.interpolate(x, (side, side), mode="bilinear") - 1
        scale = self.vae.config.scaling_factor
        seen = self.vae.encode(x).latent_dist.mean * scale
        z = torch.zeros_like(seen)
        made = self.unet(torch.cat([seen, z], dim=1), self.last, encoder_hidden_states=self.empty).sample
        latent = {
            "v_prediction": self.alpha * z - self.sigma * made,
            "epsilon": (z - self.sigma * made) / self.alpha,
            "sample": made,
        }[self.prediction]
        normals = F.interpolate(self.vae.decode(latent / scale).sample, rgb.shape[:2], mode="bilinear")[0]
        return F.normalize(normals.movedim(0, -1), dim=-1, eps=LEAST).to(rgb.device)


def extra(name: str) -> Any:
    """ValueError where it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        raise ValueError(f"{name} is not installed: expected the extra `sds` (pip install 'terrarium[sds]')") from None


def loaded(kind: Any, folder: str, network: bool = True) -> Any:
    """What `kind` saved in the folder, frozen on the default device if it is a network; ValueError says why not."""
    try:
        made = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0]
        raise ValueError(f"{folder} cannot be loaded as {kind.__name__} ({first}): expected a local folder") from None
    if network:
        assert isinstance(made, nn.Module)
        made = made.to(default_device()).eval().requires_grad_(False)
    return made


LEARNED: dict[str, Callable[[Wish], Reward]] = {"clip": Clip, "hps": Hps, "aesthetic": Aesthetic, "normal": Normal}
