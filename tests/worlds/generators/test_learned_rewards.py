"""Rewards of networks, tiny ones drawn at random and saved as folders: range, gradient, what they depend on."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_sdxl import words_tokenizer

from terrarium.worlds.generators.learned_rewards import HEAD, LEARNED
from terrarium.worlds.generators.rewards import Scene, Wish, random_cameras

pytest.importorskip("transformers", reason="the extra sds is not installed")
pytest.importorskip("diffusers", reason="the extra sds is not installed")
WIDTH = 16


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of 16 channels with the layers of an aesthetic predictor beside it."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    layers = {"hidden_size": WIDTH, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = layers | {"vocab_size": 1000, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 2}
    vision = layers | {"image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH)).save_pretrained(folder)
    words_tokenizer(folder.parent / "clip-words").save_pretrained(folder)
    marks = {"layers.0.weight": torch.randn(8, WIDTH), "layers.0.bias": torch.zeros(8)}
    marks |= {"layers.2.weight": torch.randn(1, 8), "layers.2.bias": torch.tensor([5.0])}
    save_file(marks, folder / HEAD)
    return folder


@pytest.fixture(scope="module")
def marigold(tmp_path_factory):
    """A Marigold pipeline whose VAE and U-Net are a few thousand weights wide."""
    from diffusers import AutoencoderKL, DDIMScheduler, MarigoldNormalsPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("marigold")
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=WIDTH,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
    )
    layers = {"hidden_size": WIDTH, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = CLIPTextModel(CLIPTextConfig(vocab_size=1000, max_position_embeddings=77, **layers))
    words = words_tokenizer(folder.parent / "marigold-words")
    MarigoldNormalsPipeline(unet, vae, DDIMScheduler(prediction_type="v_prediction"), text, words).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def wish(clip, marigold) -> Wish:
    return Wish(models={"clip": str(clip), "hps": str(clip), "aesthetic": str(clip), "normal": str(marigold)})


def scene(logits: torch.Tensor, captions=("snow", "glow")) -> Scene:
    """All of the same materials. CLIP's features of a text are those at its largest token: here the last w."""
    torch.manual_seed(1)
    palette = torch.randn(*logits.shape[1:], 7).expand(*logits.shape, 7)
    return Scene(
        torch.sigmoid(logits), palette.softmax(-1), random_cameras(np.random.default_rng(0), 6, 1, 0.0), captions
    )


@pytest.mark.parametrize("name", LEARNED)
def test_it_is_bounded_and_its_gradient_is_that_of_differences(name, wish) -> None:
    reward = LEARNED[name](wish)
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 6, 6, requires_grad=True)

    def value(x: torch.Tensor) -> torch.Tensor:
        found = reward(scene(x))
        assert found.shape == (2,) and (found >= 0).all() and (found <= 1).all()
        return found.sum()

    (gradient,) = torch.autograd.grad(value(logits), logits)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    step = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        slope = float(value(logits + step) - value(logits - step)) / 2e-2
    assert float(gradient.norm()) == pytest.approx(slope, rel=0.1)


def test_clip_reads_the_caption_and_keeps_its_features(wish) -> None:
    reward = LEARNED["clip"](wish)
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 6, 6).repeat(2, 1, 1, 1)
    found = reward(scene(logits))
    assert set(reward.said) == {"snow", "glow"} and found[0] != found[1]
    assert reward(scene(logits, ("glow", "snow"))).flip(0).allclose(found)


def test_without_context_an_estimate_gives_no_gradient(wish) -> None:
    from dataclasses import replace

    logits = torch.randn(1, 6, 6, 6, requires_grad=True)
    found = []
    for context in (True, False):
        reward = LEARNED["normal"](replace(wish, context=context))
        worth = reward(scene(logits, ("snow",)))
        found.append((worth.detach(), torch.autograd.grad(worth.sum(), logits)[0]))
    assert found[0][0].equal(found[1][0]) and not found[0][1].allclose(found[1][1])


def test_folders_without_weights_are_refused(tmp_path, clip) -> None:
    for name in LEARNED:
        with pytest.raises(ValueError, match=r"cannot be loaded as .*: expected a local folder"):
            LEARNED[name](Wish(models={name: str(tmp_path)}))
    (clip / HEAD).rename(clip / "aside")
    with pytest.raises(ValueError, match=f"{HEAD} is not there"):
        LEARNED["aesthetic"](Wish(models={"aesthetic": str(clip)}))
    (clip / "aside").rename(clip / HEAD)
