"""A diffusers pipeline of a few thousand random weights, aligned by every method to a reward of its pictures."""

import numpy as np
import pytest
import torch

from terrarium.worlds.generators.diffusers_base import DiffusersBase
from terrarium.worlds.generators.kinds import AlignConfig
from terrarium.worlds.generators.lora import adapt, base_of
from terrarium.worlds.generators.objectives import METHODS, Follow
from terrarium.worlds.generators.rewards import over_views
from terrarium.worlds.generators.snapshot import Snapshot
from terrarium.worlds.training.lora import adapters, is_adapters, weights

pytest.importorskip("diffusers", reason="the extra sds is not installed")
SHAPE = (4, 8, 8)


def redness(scene):
    return over_views(scene, lambda picture: picture.rgb[..., 0].mean())


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    """What a Stable Diffusion pipeline holds, as far as it is used."""
    from types import SimpleNamespace

    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from tiny_sdxl import words_tokenizer
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=16,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
    )
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = CLIPTextModel(CLIPTextConfig(vocab_size=1000, max_position_embeddings=77, **layers))
    words = words_tokenizer(tmp_path_factory.mktemp("words") / "words")
    return SimpleNamespace(
        unet=unet.eval(), vae=vae.eval(), text_encoder=text, tokenizer=words, scheduler=DDIMScheduler()
    )


@pytest.fixture
def base(pipe) -> DiffusersBase:
    def decode(z, cameras):
        rgb = ((pipe.vae.decode(z).sample + 1) / 2).clamp(0, 1).movedim(1, -1)
        return rgb.unsqueeze(1).expand(-1, len(cameras), -1, -1, -1)

    import copy

    pipe.vae.requires_grad_(False)
    kept = copy.copy(pipe)
    kept.unet = copy.deepcopy(pipe.unet)
    return DiffusersBase(kept, shape=SHAPE, decode=decode)


def follow(base, method: str) -> Follow:
    config = AlignConfig(method=method, sampling_steps=4, views=1, draft_steps=2, reward_scale=10.0)
    captions = ["a tower", "a ship"]
    rng = np.random.default_rng(0)
    return Follow(base, Snapshot(base), redness, config, base.say(captions), base.say(["", ""]), captions, rng)


@torch.no_grad()
def predicted(base) -> torch.Tensor:
    z = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    return base.guided(z, torch.tensor([500, 500]), base.say(["a tower", "a ship"]), base.say(["", ""]), 2.0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_teaches_the_adapters_alone(method, base) -> None:
    plain = predicted(base)
    adapt(base, 2)
    assert len(adapters(base)) == 4 * 2 * 4  # four transformers, self- and cross-attention: q, k, v, out
    optimizer = torch.optim.AdamW(weights(base), lr=1e-2)
    for step in range(2):
        torch.manual_seed(step)
        loss, worth = follow(base, method).loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.isfinite() and 0 <= float(worth) <= 1
    assert all((p.grad is not None) == is_adapters(name) for name, p in base.named_parameters())
    assert not predicted(base).equal(plain)
    with base_of(base):
        assert predicted(base).equal(plain)


def test_another_prediction_is_refused(pipe) -> None:
    from diffusers import DDIMScheduler

    pipe = type(pipe)(**vars(pipe) | {"scheduler": DDIMScheduler()})
    pipe.scheduler.register_to_config(prediction_type="score")
    with pytest.raises(ValueError, match="prediction_type 'score': expected epsilon, v_prediction or sample"):
        DiffusersBase(pipe, shape=SHAPE, decode=lambda z, cameras: z)
