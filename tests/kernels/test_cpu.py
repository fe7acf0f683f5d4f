"""The C programs of kernels/cpu against PyTorch's operators: values and every gradient, odd sizes, fp32 and bf16."""

import os

import pytest
import torch
import torch.nn.functional as F

from terrarium.kernels import cpu
from terrarium.kernels.conv_gru import naive
from terrarium.worlds.world_model.conv_gru import InputPart, warp
from terrarium.worlds.world_model.losses import box, contrast, picture_losses
from terrarium.worlds.world_model.picture import move_picture, picture_flow

N, C, HEIGHT, WIDTH, PLACES = 3, 6, 5, 7, 5
CLOSE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # of the largest value


@pytest.fixture(scope="module")
def programs():
    found = cpu.compiled()
    if found is None:
        reason = "no C compiler that compiles kernels/cpu"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def given(*shape, dtype=torch.float32):
    x = torch.randn(shape)
    x = x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x
    return x.to(dtype).requires_grad_()


def the_same(found, expected, inputs, dtype=torch.float32):
    """Both results, and their gradients to the inputs for the same gradient of a result."""
    grad = torch.randn(expected.shape)
    ours, theirs = (torch.autograd.grad(y, inputs, grad.to(y.dtype)) for y in (found, expected))
    for i, (a, b) in enumerate(zip([found, *ours], [expected, *theirs], strict=True)):
        assert a.shape == b.shape
        apart = (a.float() - b.float()).abs().max() / b.float().abs().max()
        assert apart < CLOSE[dtype], f"{'result' if not i else f'gradient {i - 1}'} is {apart:.1e} off"


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_gates(programs, dtype):
    x, y = given(N, 3 * C, HEIGHT, WIDTH, dtype=dtype), given(N, 3 * C, HEIGHT, WIDTH, dtype=dtype)
    h, rows = given(N, C, HEIGHT, WIDTH), [given(3 * C) for _ in range(4)]
    scale, places, basis = given(N, 3 * C), given(N, PLACES, 3 * C), torch.randn(PLACES, HEIGHT, WIDTH)
    found = cpu.conv_gru_gates(
        programs, x, y, h, rows[:2], rows[2:], scale, places, basis.permute(1, 2, 0).contiguous()
    )
    gx = naive.affine(x.float(), *rows[:2]) * scale[:, :, None, None] + torch.einsum("phw,npc->nchw", basis, places)
    expected = naive.conv_gru_gates(gx, naive.affine(y.float(), *rows[2:]), h)
    the_same(found, expected, [x, y, h, *rows, scale, places], dtype)


def test_gates_take_steps_of_a_clip(programs):
    """As `unbind` gives them: samples that lie apart."""
    x, y = (given(N, 2, 3 * C, HEIGHT, WIDTH).detach().transpose(2, 3).contiguous().transpose(2, 3) for _ in range(2))
    x, y = (m.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)[:, 1] for m in (x, y))
    h, row = given(N, C, HEIGHT, WIDTH), torch.ones(3 * C)
    rest = (row, row), (row, row), torch.ones(N, 3 * C), torch.zeros(N, 1, 3 * C), torch.ones(HEIGHT, WIDTH, 1)
    apart = cpu.conv_gru_gates(programs, x, y, h, *rest)
    assert torch.equal(apart, cpu.conv_gru_gates(programs, x.contiguous(), y.contiguous(), h, *rest))


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_residual(programs, dtype):
    x, h, rows = given(N, C, HEIGHT, WIDTH, dtype=dtype), given(N, C, HEIGHT, WIDTH), [given(C), given(C)]
    expected = h + F.silu(naive.affine(x.float(), *rows))
    the_same(cpu.residual(programs, x, h, *rows), expected, [x, h, *rows], dtype)


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_flow(programs, dtype):
    look, rows = given(N, 10, HEIGHT, WIDTH, dtype=dtype), [given(N, PLACES, 10), given(N, PLACES, 7)]
    weight, bias, basis = given(7, 10), given(7), torch.randn(PLACES, HEIGHT, WIDTH)
    act, direct = (torch.einsum("phw,npc->nchw", basis, row) for row in rows)
    out = torch.einsum("nchw,oc->nohw", look.float() * act, weight) + bias[:, None, None] + direct
    found = cpu.flow(programs, look, *rows, weight, bias, basis.permute(1, 2, 0).contiguous(), 6.0)
    the_same(found, 6 * torch.tanh(out / 6), [look, *rows, weight, bias], dtype)


def test_warp(programs):
    h, field = given(N, C, HEIGHT, WIDTH), given(N, 9, HEIGHT, WIDTH)
    field.data.mul_(4)  # beyond the edges, too
    the_same(cpu.warp(programs, h, field, 2), warp(h, field[:, :4]), [h, field])


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_places_are_convolved_once(dtype):
    x, basis = given(N, C, HEIGHT, WIDTH, dtype=dtype), torch.randn(PLACES, HEIGHT, WIDTH, dtype=dtype)
    part = InputPart(C + PLACES, 4, 8, PLACES).to(dtype)
    expected = part.conv(torch.cat([x, basis.expand(N, -1, -1, -1)], dim=1))
    the_same(part.convolve(x, basis), expected, [x, part.conv.weight, part.conv.bias], dtype)


def test_upsample(programs):
    field = given(N, 12, HEIGHT, WIDTH)
    the_same(cpu.upsample(programs, field), picture_flow(field.double()), [field])


def test_move_picture(programs):
    canvas = torch.rand(N, 2, HEIGHT, WIDTH + 6, 4).permute(0, 1, 4, 2, 3)[:, 1] - 0.5  # of every second frame
    flow = given(N, 2, HEIGHT, WIDTH)
    flow.data.mul_(3)
    columns = torch.arange(3.0, 3 + WIDTH)
    expected = move_picture(canvas, flow, columns=columns)
    the_same(cpu.move_picture(programs, canvas, flow, columns), expected, [flow])


@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("width", [10, 72])
def test_halve(programs, dtype, width):
    """Of the three colours of canvases."""
    pictures = torch.randn(N, 4, 6, width)[:, :3].requires_grad_()
    weight, bias = torch.randn(32, 3, 4, 4), torch.randn(32)
    expected = F.conv2d(pictures.double(), weight.double(), bias.double(), stride=2, padding=1)
    found = cpu.halve(programs, pictures, weight, bias, dtype)
    assert found.dtype == dtype
    the_same(found, expected, [pictures], dtype)


def test_blur(programs):
    pictures, amounts = torch.rand(3, 2, 3, 8, 12), torch.tensor([0, 0.3, 0.8])
    soft = box(box(pictures.flatten(0, 1))).view_as(pictures)
    expected = torch.lerp(pictures, soft, amounts.view(-1, 1, 1, 1, 1))
    torch.testing.assert_close(cpu.blur(programs, pictures, amounts), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_picture_losses(programs, dtype):
    """Clips cut out of longer ones; the drawn pictures channels-last, as the tokenizer's decoder leaves them."""

    def pictures(channels):
        return torch.rand(2, 4, channels, 12, 20)[:, 1:]

    moved, known, mask = ((pictures(c) - shift).requires_grad_() for c, shift in ((3, 0.5), (1, 0), (1, 0)))
    target, after = (pictures(3) - 0.5 for _ in range(2))
    drawn = (1.4 * torch.rand(6, 12, 20, 3) - 0.7).to(dtype).permute(0, 3, 1, 2).unflatten(0, (2, 3))
    given = moved, known, mask, drawn, target, after
    expected = picture_losses(*(x.double() for x in given), contrast)
    the_same(cpu.picture_losses(programs, *given), expected, [moved, known, mask])


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_group_norm(programs, dtype):
    x = given(N, 16, HEIGHT, WIDTH, dtype=dtype)
    x.data.add_(3)
    weight, bias = torch.randn(16), torch.randn(16)
    found = cpu.group_norm_silu(programs, x, 8, weight, bias, dtype)
    the_same(found, F.silu(F.group_norm(x.float(), 8, weight, bias)), [x], dtype)


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_silu(programs, dtype):
    x = given(N, C, HEIGHT, WIDTH, dtype=dtype)  # 630 numbers: two whole blocks of the program and a part
    x.data.mul_(4)
    with cpu.using(programs):
        found = cpu.silu(x)
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    the_same(found, F.silu(x.double()), [x], dtype)


def test_threads_change_no_bit(programs):
    h, field = given(N, C, HEIGHT, WIDTH), given(N, 4, HEIGHT, WIDTH)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(torch.autograd.grad(cpu.warp(programs, h, field, 2).square().sum(), [h, field]))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_what_is_no_number_stays_none(programs):
    x = torch.full((1, 16, 2, 2), torch.nan)
    assert cpu.group_norm_silu(programs, x, 8, torch.ones(16), torch.zeros(16), torch.bfloat16).isnan().all()


def test_programs_are_used_where_they_are_asked_for(programs):
    x = torch.zeros(1)
    with cpu.using(programs):
        assert cpu.used(x) is programs and cpu.used(x, x.double()) is None and cpu.used(x.to("meta")) is None
        with cpu.using(None):
            assert cpu.used(x) is None
    assert cpu.used(x) is None


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler_a_line_is_printed(compiler, monkeypatch, capsys):
    monkeypatch.setenv("CC", compiler)
    assert cpu.compiled() is None
    assert capsys.readouterr().err.startswith("training without compiled programs: ")
