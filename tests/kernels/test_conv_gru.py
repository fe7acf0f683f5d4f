"""What needs no Triton program to run; the programs are tested in interpreted/test_conv_gru.py."""

from __future__ import annotations

import pytest
import torch

from terrarium.kernels.conv_gru import conv_gru_gates, reset_gates, update_gate
from terrarium.kernels.conv_gru.cases import ALL_ROWS, COMPILE

Tensor = torch.Tensor


def gates(gx: Tensor, gh: Tensor, h: Tensor) -> Tensor:
    """The equations, one after the other."""
    c = h.shape[1]
    r, z = torch.sigmoid(gx[:, :c] + gh[:, :c]), torch.sigmoid(gx[:, c : 2 * c] + gh[:, c : 2 * c])
    return (1 - z) * torch.tanh(gx[:, 2 * c :] + r * gh[:, 2 * c :]) + z * h


def maps(dtype: torch.dtype = torch.float64, c: int = 3) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, n, 3, 5, dtype=dtype) for n in (3 * c, 3 * c, c)]


def all_rows(b: int = 2, c: int = 3) -> dict[str, Tensor]:
    shapes = {name: (b, 3 * c) if name in ("scale", "shift") else (3 * c,) for name in ALL_ROWS}
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


def test_gates_follow_the_equations():
    gx, gh, h = maps()
    torch.testing.assert_close(conv_gru_gates(gx, gh, h), gates(gx, gh, h))


def test_rows_norm_bias_and_film():
    gx, gh, h = maps()
    rows = all_rows()

    def layer_norm(g: Tensor, norm: Tensor, bias: Tensor) -> Tensor:
        mean, variance = g.mean(1, keepdim=True), g.var(1, keepdim=True, unbiased=False)
        return (g - mean) / (variance + 1e-5).sqrt() * norm.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)

    x = layer_norm(gx, rows["x_norm"], rows["x_bias"]) * rows["scale"][..., None, None] + rows["shift"][..., None, None]
    y = layer_norm(gh, rows["h_norm"], rows["h_bias"])
    torch.testing.assert_close(conv_gru_gates(gx, gh, h, **rows), gates(x, y, h))
    biases = {name: rows[name] for name in ("x_bias", "h_bias")}
    x, y = gx + rows["x_bias"].view(1, -1, 1, 1), gh + rows["h_bias"].view(1, -1, 1, 1)
    torch.testing.assert_close(conv_gru_gates(gx, gh, h, **biases), gates(x, y, h))


def test_reset_before_follows_the_equations():
    gx, gh, h = maps()
    r, z = torch.sigmoid(gx[:, :3] + gh[:, :3]), torch.sigmoid(gx[:, 3:6] + gh[:, 3:6])
    rh, kept = reset_gates(gx[:, :6], gh[:, :6], h)
    torch.testing.assert_close((rh, kept), (r * h, z))
    expected = (1 - z) * torch.tanh(gx[:, 6:] + gh[:, 6:]) + z * h
    torch.testing.assert_close(update_gate(gx[:, 6:], gh[:, 6:], z, h), expected)


def test_gradients():
    given = {"gx": (1, 6, 1, 2), "gh": (1, 6, 1, 2), "h": (1, 2, 1, 2)} | {
        k: v.shape for k, v in all_rows(1, 2).items()
    }
    args = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in given.values())
    assert torch.autograd.gradcheck(
        lambda *args: conv_gru_gates(**dict(zip(given, args, strict=True))), args, fast_mode=True
    )


def test_what_does_not_fit_is_refused():
    gx, gh, h = maps(torch.float32)
    with pytest.raises(ValueError, match=r"gh is torch.int64; expected one of torch.float32"):
        conv_gru_gates(gx, gh.long(), h)
    with pytest.raises(ValueError, match="gx is on meta, h on cpu"):
        conv_gru_gates(gx.to("meta"), gh, h)
    with pytest.raises(ValueError, match=r"gx has shape \[2, 8, 3, 5\]; expected \[2, 9, 3, 5\]"):
        conv_gru_gates(gx[:, :8], gh, h)
    with pytest.raises(ValueError, match=r"scale has shape \[9\]; expected \[2, 9\]"):
        conv_gru_gates(gx, gh, h, scale=torch.ones(9))
    with pytest.raises(ValueError, match=r"h has shape \[3, 3, 5\]; expected \[B, C, H, W\]"):
        conv_gru_gates(gx, gh, h[0])
    with pytest.raises(ValueError, match=r"gx has shape \[2, 9, 3, 5\]; expected \[2, 6, 3, 5\]"):
        reset_gates(gx, gh, h)
    with pytest.raises(ValueError, match=r"z has shape \[2, 9, 3, 5\]; expected \[2, 3, 3, 5\]"):
        update_gate(h, h, gx, h)


def test_on_a_cpu_the_naive_path_compiles_and_exports():
    """As one graph, without the operator: Inductor can fuse it."""
    gx, gh, h = maps(torch.float32)

    class Step(torch.nn.Module):
        def forward(self, gx: Tensor, gh: Tensor, h: Tensor) -> Tensor:
            return conv_gru_gates(gx, gh, h, h_norm=torch.ones(9))

    compiled = torch.compile(Step(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(gx, gh, h), Step()(gx, gh, h))
    graph = torch.export.export(Step(), (gx, gh, h)).graph
    assert not [node for node in graph.nodes if "terrarium" in str(node.target)]


def test_programs_compile_for_an_h100():
    pytest.importorskip("triton", reason="Triton is not made for this platform")
    from terrarium.kernels.compile_only import compile_case
    from terrarium.kernels.report import describe

    for case in COMPILE():
        used = compile_case(case)
        line = f"{case.name}: {describe(used)}"
        print(line)
        assert (used.spill_bytes, used.local_bytes) == (0, 0), line
        assert used.registers * 32 * case.num_warps <= 65536, line
        assert used.loads[16] >= 3, line
        assert set(used.stores) <= {16, 8, 4} and used.stores[16] >= 1, line
        assert used.tensor_cores == case.tensor_cores, line
