"""What bf16 must not touch: places, draws, losses and statistics. `make test-precision` prints the figures."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_process import Log

from terrarium.kernels.codes import nats
from terrarium.worlds.blocks.actions import A, action
from terrarium.worlds.pictures.metrics import psnr
from terrarium.worlds.pictures.perceptual import LPIPS
from terrarium.worlds.training.task import Step
from terrarium.worlds.world_model.codes import doubted, sample, soft_latents
from terrarium.worlds.world_model.conv_gru import ConvGRULayer, place_basis, warp
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.judge.model import Judge
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.live import LiveModel
from terrarium.worlds.world_model.losses import Losses
from terrarium.worlds.world_model.picture import compose, move_picture, picture_flow
from terrarium.worlds.world_model.quantise import EMAVQ, FSQ
from terrarium.worlds.world_model.rollout import burn_in, rollout
from terrarium.worlds.world_model.tokenizer import Tokenizer, to_frames
from terrarium.worlds.world_model.train import train_world_model
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer

pytestmark = pytest.mark.precision
BAND = 2e-3  # of the loss, between the curves in fp32 and bf16; with places in bf16 it was 6e-3
KINDS = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def bf16():
    return torch.autocast("cpu", torch.bfloat16)


def decibels(a, b):
    """Peak 1."""
    return -10 * (a.double() - b.double()).square().mean().log10().item()


def untrained(grid=(16, 16), **changes):
    torch.manual_seed(0)
    return Dynamics(replace(world_model_debug(), margin=32, **changes), Tokenizer(tokenizer_debug()), grid, A)


def inputs(batch=2, time=3, grid=(16, 16)):
    pictures = torch.rand(batch, time, 3, 4 * grid[0], 4 * grid[1]) - 0.5
    return torch.randint(1000, (batch, time, *grid)), pictures, torch.randn(batch, time, A)


@pytest.mark.parametrize("gradient", [True, False], ids=["training", "play"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_flow_of_zero_is_the_identity(kind, gradient):
    """An untrained model, whose flow is zero, returns its 64x64 picture; in fp16 and bf16 by autocast."""
    model, (codes, pictures, actions) = untrained(), inputs()
    if kind == "fp64":
        model, pictures, actions = model.double(), pictures.double(), actions.double()
    half = kind in ("bf16", "fp16")
    with torch.set_grad_enabled(gradient), torch.autocast("cpu", KINDS[kind]) if half else nullcontext():
        p = model(codes, pictures, actions, model.initial(2))
    found = decibels(p.moved, pictures)
    print(f"zero flow, {kind}, {'training' if gradient else 'play'}: {found:.1f} dB")
    assert found >= 60 and (p.known > 0.999).all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16], ids=str)
def test_places_are_not_rounded(kind):
    """Canvas, state and flow given in half: sampled where their values say, in pictures as wide as 200 pixels."""
    canvas, flow = (torch.rand(1, 4, 16, 200) - 0.5).to(kind), 3 * torch.randn(1, 2, 16, 200).to(kind)
    assert torch.equal(move_picture(canvas, flow), move_picture(canvas.float(), flow.float()))
    h, cells = torch.randn(1, 4, 16, 50).to(kind), torch.randn(1, 4, 16, 50).to(kind)
    assert torch.equal(warp(h, cells), warp(h.float(), cells.float()))
    field = torch.randn(1, 12, 4, 5).to(kind)
    assert torch.equal(picture_flow(field), picture_flow(field.float()))
    given = [torch.rand(1, 1, channels, 8, 8).to(kind) - 0.5 for channels in (3, 3, 1)]
    assert torch.equal(compose(*given, soft=True), compose(*(x.float() for x in given), soft=True))


def test_a_flow_under_autocast_is_as_long_as_in_fp32():
    """Its last maps are in fp32: five cells, twenty pixels, end within a thirtieth of a pixel."""
    layer, basis = ConvGRULayer(8, 8, 16, flow=True, fine=True), place_basis(16, 16)
    torch.nn.init.normal_(layer.flow.direct.linear.weight, std=0.5)
    h, action = torch.randn(2, 8, 16, 16), torch.randn(2, 16)
    exact = layer.flow(h, action, basis)
    with bf16():
        found = layer.flow(h, action, basis)
    assert exact.abs().max() > 5 and found.dtype == torch.float32
    assert 4 * (found - exact).abs().max() < 1 / 30


def test_draws_and_log_probabilities_are_in_fp32():
    """Of logits given in bf16: what the same numbers in fp32 give, draw for draw."""
    factors = [4, 3]
    logits, codes = 3 * torch.randn(64, 7, 4, 4).bfloat16(), torch.randint(12, (64, 4, 4))
    tables = FSQ((4, 3)).tables()
    assert torch.equal(nats(logits, codes, factors), nats(logits.float(), codes, factors))
    assert torch.equal(doubted(logits, factors), doubted(logits.float(), factors))
    for draw in (lambda x: sample(x, 1.0, factors), lambda x: soft_latents(x, tables)):
        torch.manual_seed(0)
        found = draw(logits)
        torch.manual_seed(0)
        assert torch.equal(found, draw(logits.float()))


@pytest.mark.parametrize("kind", ["fsq", "ema_vq"])
def test_quantisers_are_in_fp32_under_autocast(kind):
    """Codes, log-odds, and the codebook that starts as the means of its clusters, from latents in bf16."""
    latents = torch.randn(8, 4, 8, 8).bfloat16()

    def found(x):
        torch.manual_seed(0)
        quantiser = (FSQ((8, 5, 5, 5)) if kind == "fsq" else EMAVQ(32, 4)).train()
        quantised, codes, loss = quantiser(x)
        return [quantised, codes, loss, quantiser.logits(x), *quantiser.state_dict().values()]

    with bf16():
        rounded = found(latents)
    for a, b in zip(rounded, found(latents.float()), strict=True):
        assert torch.equal(a, b) and (a.dtype == torch.float32 or not a.is_floating_point())


def test_losses_are_in_fp32_under_autocast():
    config = replace(
        world_model_debug(), rollout_fraction=1.0, soft=1.0, echo=1.0, action_contrast=0.2, margin=8, recent=2
    )
    model = Dynamics(config, Tokenizer(tokenizer_debug()), (8, 8), A)
    codes, actions = torch.randint(1000, (4, 6, 8, 8)), torch.randn(4, 5, A)
    frames = torch.randint(256, (4, 6, 32, 32, 3), dtype=torch.uint8)
    with bf16():
        loss, metrics = Losses(model, config)(Step(5, 10, (0, 1), np.random.default_rng(0)), codes, actions, frames)
    assert {name: m.dtype for name, m in (metrics | {"loss": loss}).items() if m.dtype != torch.float32} == {}
    loss.backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters() if p.grad is not None)


def test_lpips_is_the_same_under_autocast():
    """Pictures nearly alike: in bf16 features their distance came out 1.75 times as large."""
    lpips, x = LPIPS("random"), torch.rand(2, 3, 64, 64) * 2 - 1
    for size in (1e-3, 3e-3, 0.1):
        y = x + size * torch.randn_like(x)
        exact = lpips(x, y)
        with bf16():
            assert torch.equal(lpips(x, y), exact)


def test_the_judge_reads_the_same_under_autocast():
    judge, frames = Judge((16, 16)).eval(), np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), np.uint8)
    exact = judge.read(frames)
    with bf16():
        found = judge.read(frames)
    assert all(np.array_equal(a, b) for a, b in zip(found, exact, strict=True))


def test_pictures_that_a_decoder_made_in_bf16_are_rounded_once():
    pictures = (torch.rand(1, 3, 8, 8) - 0.5).bfloat16()
    assert torch.equal(to_frames(pictures), to_frames(pictures.float()))
    tokenizer = Tokenizer(tokenizer_debug())
    with bf16():
        shown = tokenizer(torch.rand(2, 3, 32, 32))[0]
    assert shown.dtype == torch.float32


def curves(train, config, folder, monkeypatch):
    """The losses of a run in fp32 and of the same in bf16."""
    found = []
    for precision in ("fp32", "bf16"):
        monkeypatch.setenv("TERRARIUM_PRECISION", precision)
        log = Log()
        train(config, folder / precision, log)
        found.append([loss for _, loss in sorted(log.told["curve"].items())])
    print(f"{config.kind}, ten steps, fp32: {' '.join(f'{x:.4f}' for x in found[0])}")
    print(f"{config.kind}, ten steps, bf16: {' '.join(f'{x:.4f}' for x in found[1])}")
    return found


def test_ten_steps_in_bf16_keep_the_curve(debug_data, debug_tokenizer, tmp_path, monkeypatch):
    config = replace(world_model_debug(str(debug_data), str(debug_tokenizer)), painter=False)
    full, half = curves(train_world_model, config, tmp_path, monkeypatch)
    assert len(full) == 10 and half != full
    assert half == pytest.approx(full, rel=BAND)


@pytest.mark.parametrize("quantiser", ["fsq", "ema_vq"])
def test_ten_steps_of_a_tokenizer_in_bf16_keep_the_curve(quantiser, debug_data, tmp_path, monkeypatch):
    config = replace(tokenizer_debug(str(debug_data)), quantiser=quantiser, steps=10, perceptual=0.1)
    full, half = curves(train_tokenizer, config, tmp_path, monkeypatch)
    assert half != full and half == pytest.approx(full, rel=5 * BAND)


def test_the_shipped_model_in_bf16_shows_the_next_frames_of_fp32():
    """Four steps ahead with the likeliest codes, from the context that play begins with."""
    model = LiveModel.load("shipped")
    frames, actions = model.context(model.simulator(), 7)
    ahead = torch.from_numpy(np.stack([action("w", yaw=0.5)] * 4))[None]

    def shown():
        state = burn_in(model.dynamics, frames[None], actions[None])
        return rollout(model.dynamics, state, ahead, temperature=0.0).frames

    full = shown()
    with bf16():
        half = shown()
    found = psnr(half, full)[0]
    print(f"shipped model, bf16 against fp32, steps 1 to 4: {' '.join(f'{x:.1f}' for x in found)} dB")
    assert (half != full).any() and found.min() > 30
