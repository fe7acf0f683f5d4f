"""The ConvGRU's programs against naive.py in float64 on the same rounded inputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from kernel_checks import LAYOUTS, ODD, assert_gradient, assert_values, laid_out

from terrarium.kernels.conv_gru import conv_gru_gates, fused, naive, reset_before, reset_gates, update_gate
from terrarium.kernels.conv_gru.cases import ALL_ROWS
from terrarium.kernels.op import cells_of

FORMS = [(), ("h_norm", "h_bias"), ALL_ROWS, ("x_bias", "shift", "h_bias"), ("scale",)]
SHAPES = [(2, 1, 1, 1), (1, 7, 17, 1), (3, 17, 1, 7), (1, 33, 3, 5), (2, 130, 4, 3), (1, 8, 2, 130)]  # B, C, H, W
Tensor = torch.Tensor


def inputs(shape: tuple[int, ...], rows: tuple[str, ...], dtype: torch.dtype, layout: str) -> dict[str, Tensor]:
    b, c, height, width = shape
    maps = {"gx": 3 * c, "gh": 3 * c, "h": c}
    made = {name: laid_out(torch.randn(b, n, height, width).to(dtype), layout) for name, n in maps.items()}
    for name in rows:
        row = torch.randn((b, 3 * c) if name in ("scale", "shift") else (3 * c,))
        made[name] = (0.3 * row + (name in ("x_norm", "h_norm", "scale"))).to(dtype)
    return {name: x.requires_grad_() for name, x in made.items()}


def in_float64(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.detach().double().requires_grad_() for name, x in tensors.items()}


def check(fast, slow, given: dict[str, Tensor]) -> None:
    """Values and every gradient, for a random gradient to each result."""
    exact = in_float64(given)
    got, expected = fast(**given), slow(**exact)
    got, expected = (got, expected) if isinstance(got, tuple) else ((got,), (expected,))
    douts = [torch.randn_like(x) for x in got]
    for i, (x, y) in enumerate(zip(got, expected, strict=True)):
        assert_values(x.detach(), y.detach(), f"result {i}")
    grads = torch.autograd.grad(got, list(given.values()), douts)
    exact_grads = torch.autograd.grad(expected, list(exact.values()), [d.double() for d in douts])
    for name, x, y in zip(given, grads, exact_grads, strict=True):
        assert x.dtype == given[name].dtype
        assert_gradient(x, y, f"gradient to {name}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("rows", FORMS, ids=lambda rows: "+".join(rows) or "plain")
def test_values_and_gradients(dtype: torch.dtype, rows: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    assert set(ODD) <= {n for shape in SHAPES for n in shape}
    for i, shape in enumerate(SHAPES):
        if shape[2] * shape[3] == 1 and dtype == torch.float16 and "x_norm" in rows:
            continue  # C = 1: the norm of three values is too steep for the tolerance of fp16
        check(conv_gru_gates, naive.conv_gru_gates, inputs(shape, rows, dtype, LAYOUTS[i % 3]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_and_gradients_reset_before(dtype: torch.dtype, layout: str) -> None:
    torch.manual_seed(1)
    for b, c, height, width in SHAPES[1:5]:
        maps = {"gx": 2 * c, "gh": 2 * c, "h": c}
        given = {k: laid_out(torch.randn(b, n, height, width).to(dtype), layout) for k, n in maps.items()}
        check(reset_gates, naive.reset_gates, {k: x.requires_grad_() for k, x in given.items()})
        given = {k: laid_out(torch.randn(b, c, height, width).to(dtype), layout) for k in ("gx", "gh", "z", "h")}
        check(update_gate, naive.update_gate, {k: x.requires_grad_() for k, x in given.items()})


def test_without_gradients_nothing_is_kept() -> None:
    given = inputs((2, 7, 3, 3), (), torch.float32, "channels_last")
    expected = naive.conv_gru_gates(**given)
    with torch.no_grad():
        out = conv_gru_gates(**given)
    torch.testing.assert_close(out, expected.detach())
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_crop_and_a_slice_of_time_are_read_where_they_lie() -> None:
    torch.manual_seed(2)
    gx = torch.randn(2, 4, 15, 6, 8)[:, 1]  # [B, T, 3C, H, W], one step
    gh = torch.randn(2, 15, 9, 12)[:, :, 2:8, 1:9]
    h = torch.randn(2, 5, 6, 8).transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(conv_gru_gates(gx, gh, h), naive.conv_gru_gates(gx, gh, h))


@pytest.mark.parametrize("asked", [("gx",), ("gh", "h_bias"), ("h", "scale"), ("x_norm",)], ids="+".join)
def test_gradients_that_are_asked_for_alone(asked: tuple[str, ...]) -> None:
    """Over more tiles than there are programs, so that sums go on from tile to tile."""
    torch.manual_seed(8)
    given = inputs((2, 130, 5, 7), ALL_ROWS, torch.float32, "channels_last")
    exact = in_float64(given)
    for each in (given, exact):
        for name, x in each.items():
            x.requires_grad_(name in asked)
    dout = torch.randn(2, 130, 5, 7)
    conv_gru_gates(**given).backward(dout)
    naive.conv_gru_gates(**exact).backward(dout.double())
    assert {name for name, x in given.items() if x.grad is not None} == set(asked)
    for name in asked:
        assert_gradient(given[name].grad, exact[name].grad, name)


def test_mixed_dtypes_give_the_widest() -> None:
    torch.manual_seed(3)
    given = inputs((1, 7, 3, 3), ("h_norm", "h_bias"), torch.float32, "channels_last")
    given["gx"], given["gh"] = (
        given["gx"].detach().half().requires_grad_(),
        given["gh"].detach().half().requires_grad_(),
    )
    out = conv_gru_gates(**given)
    assert out.dtype == torch.float32
    assert_values(out.detach(), naive.conv_gru_gates(**in_float64(given)).detach())
    grads = torch.autograd.grad(out.sum(), list(given.values()))
    assert [g.dtype for g in grads] == [x.dtype for x in given.values()]


@pytest.mark.parametrize("size", [0.0, 200.0, -200.0])
def test_extreme_and_equal_inputs(size: float) -> None:
    given = {k: torch.full((1, c, 2, 2), size).requires_grad_() for k, c in (("gx", 9), ("gh", 9), ("h", 3))}
    check(conv_gru_gates, naive.conv_gru_gates, given)
    given |= {k: torch.ones(9).requires_grad_() for k in ("x_norm", "x_bias", "h_norm", "h_bias")}
    out = conv_gru_gates(**given)
    assert_values(out.detach(), naive.conv_gru_gates(**in_float64(given)).detach())
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(out.sum(), list(given.values())))


@pytest.mark.parametrize("rows", [(), ALL_ROWS], ids=["plain", "all rows"])
def test_gradcheck(rows: tuple[str, ...]) -> None:
    torch.manual_seed(4)
    given = in_float64(inputs((2, 2, 1, 2), rows, torch.float32, "channels_last"))
    names = list(given)
    call = lambda *args: conv_gru_gates(**dict(zip(names, args, strict=True)))  # noqa: E731
    assert torch.autograd.gradcheck(call, tuple(given.values()), fast_mode=True)


def test_opcheck() -> None:
    torch.manual_seed(5)
    given = inputs((2, 3, 2, 3), ALL_ROWS, torch.float32, "channels_last")
    plain = [given[k] for k in ("gx", "gh", "h")]
    rows = [given[k] for k in ALL_ROWS]
    values = [x.detach() for x in plain]
    torch.library.opcheck(fused._gates, (*plain, *[None] * 6, True))
    torch.library.opcheck(fused._gates, (*plain, *rows, False))
    dout, kept = torch.randn(2, 3, 2, 3), torch.rand(2, 12, 2, 3)
    kinds, needs = (torch.float32, torch.float32), [True] * 9
    opcheck = partial(torch.library.opcheck, test_utils=("test_schema", "test_faketensor"))  # no backward of its own
    opcheck(fused._gates_bwd, (dout, kept, None, None, values[2], *[None] * 6, *kinds, [True] * 3 + [False] * 6))
    for asked in (needs, [False] * 9, [i % 2 == 0 for i in range(9)]):
        opcheck(fused._gates_bwd, (dout, None, *values, *[x.detach() for x in rows], *kinds, asked))
    gx, gh, h = plain[0][:, :6], plain[1][:, :6], plain[2]
    torch.library.opcheck(reset_before._reset, (gx, gh, h, True))
    torch.library.opcheck(reset_before._update, (gx[:, :3], gh[:, :3], h, h, True))
    for need in (True, False):
        opcheck(reset_before._reset_bwd, (dout,) * 5 + (need, not need))
        opcheck(reset_before._update_bwd, (dout,) * 4 + (need, not need, need))


class Step(torch.nn.Module):
    """A reset-after and a reset-before step."""

    def forward(self, gx: Tensor, gh: Tensor, h: Tensor, h_norm: Tensor) -> Tensor:
        c = h.shape[1]
        h = conv_gru_gates(gx, gh, h, h_norm=h_norm)
        rh, z = reset_gates(gx[:, : 2 * c], gh[:, : 2 * c], h)
        return update_gate(gx[:, 2 * c :], rh, z, h)


def test_compiles_as_one_graph_and_exports() -> None:
    torch.manual_seed(6)
    args = tuple(inputs((2, 3, 2, 3), ("h_norm",), torch.float32, "channels_last").values())
    expected = Step()(*args)
    compiled = torch.compile(Step(), fullgraph=True, backend="aot_eager")(*args)
    torch.testing.assert_close(compiled, expected)
    for x, y in zip(*(torch.autograd.grad(out.sum(), args) for out in (compiled, expected)), strict=True):
        torch.testing.assert_close(x, y)
    program = torch.export.export(Step(), tuple(x.detach() for x in args))
    called = {str(node.target) for node in program.graph.nodes}
    assert {"terrarium.conv_gru_gates.default", "terrarium.conv_gru_update.default"} <= called
    torch.testing.assert_close(program.module()(*(x.detach() for x in args)), expected.detach())


def kept_values(function, given: dict[str, Tensor]) -> tuple[int, float]:
    """Maps that autograd keeps for the backward, each storage once: how many, and in units of one [B, C, H, W]."""
    kept: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        if x.dim() == 4:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        result = function(**given)
    assert result.requires_grad
    return len(kept), sum(kept.values()) / (given["h"].numel() * given["h"].element_size())


def test_a_step_keeps_five_values_a_cell() -> None:
    given = inputs((2, 16, 4, 4), (), torch.float32, "channels_last")
    assert kept_values(conv_gru_gates, given) == (2, 5.0)  # the gates r, z, n, Gh_n, and h
    given = inputs((2, 16, 4, 4), ALL_ROWS, torch.float32, "channels_last")
    assert kept_values(conv_gru_gates, given) == (3, 7.0)  # gx, gh and h, from which all is computed again
    eager, fast = kept_values(naive.conv_gru_gates, given)[1], kept_values(conv_gru_gates, given)[1]
    assert fast <= 0.6 * eager


@pytest.mark.parametrize("reset", ["after", "before"])
def test_a_sequence_trains_through_the_programs(reset: str) -> None:
    """Steps of gx are slices with the stride of a whole sequence, as in training; against the naive path."""
    torch.manual_seed(7)
    given = {"gx": torch.randn(2, 3, 15, 3, 4), "h": torch.randn(2, 5, 3, 4), "conv": torch.randn(15, 5, 3, 3) / 5}
    leaves = {name: v.requires_grad_() for name, v in given.items()}

    def by(gates, first, second):
        def states(gx: Tensor, h: Tensor, conv: Tensor) -> Tensor:
            found = []
            for gx_t in gx.unbind(1):
                if reset == "after":
                    h = gates(gx_t, torch.nn.functional.conv2d(h, conv, padding=1), h)
                else:
                    rh, z = first(gx_t[:, :10], torch.nn.functional.conv2d(h, conv[:10], padding=1), h)
                    h = second(gx_t[:, 10:], torch.nn.functional.conv2d(rh, conv[10:], padding=1), z, h)
                found.append(h)
            return torch.stack(found, dim=1)

        return states

    naively = by(naive.conv_gru_gates, naive.reset_gates, naive.update_gate)
    check(by(conv_gru_gates, reset_gates, update_gate), naively, leaves)


def test_samples_that_lie_far_apart(tmp_path: Path) -> None:
    """Offsets of samples are counted in int64: the third is 2**31 elements behind the first. The file is sparse."""
    apart = 2**30
    far = torch.from_file(str(tmp_path / "far"), shared=True, size=2 * apart + 64, dtype=torch.float16)
    near = [torch.randn(3, c, 2, 2).half() for c in (6, 6, 2)]
    for i, x in enumerate(near):
        given = list(near)
        given[i] = far.as_strided(x.shape, (apart, 4, 2, 1)).copy_(x)
        assert conv_gru_gates(*given).equal(conv_gru_gates(*near))


def test_no_samples_give_none() -> None:
    gx, h = torch.zeros(0, 6, 2, 2, requires_grad=True), torch.zeros(0, 2, 2, 2)
    out = conv_gru_gates(gx, gx, h)
    out.sum().backward()
    assert out.shape == (0, 2, 2, 2) and gx.grad is not None


def test_what_does_not_fit_is_refused() -> None:
    gx, h = torch.zeros(1, 3 * 1025, 1, 1), torch.zeros(1, 1025, 1, 1)
    with pytest.raises(ValueError, match="1025 channels; expected at most 1024"):
        conv_gru_gates(gx, gx, h)
    with pytest.raises(ValueError, match="1025 channels; expected at most 1024"):
        update_gate(h, h, h, h)
    huge = torch.empty_strided((1, 3, 2, 2), (2**33, 2**31, 2, 1), device="meta")
    with pytest.raises(ValueError, match=r"spans 4294967299 elements; expected less than 2\*\*31"):
        cells_of(huge)
