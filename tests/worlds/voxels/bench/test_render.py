"""The benchmark compares backends that draw the same picture, and says what it measured."""

import pytest
import torch

from terrarium.worlds.voxels import cpu
from terrarium.worlds.voxels.bench import plain_c, render
from terrarium.worlds.voxels.camera import look_at, orbit

needs_a_compiler = pytest.mark.skipif(plain_c.compiler() is None, reason="no C compiler here")


@needs_a_compiler
@pytest.mark.parametrize("camera", [orbit((6, 6, 6), 30, 25, 10, 8), look_at((2.2, 1.3, 2.9), (5, 2, 0), 10, 8)])
def test_the_loop_in_c_draws_the_same_picture(camera):
    library, rays = plain_c.compiled(), camera.rays()
    alpha, colour = render.scene(6)
    alpha[2], alpha[3, 3] = 0, 1
    a, c = alpha.clone().requires_grad_(), colour.clone().requires_grad_()
    rgb, opacity, depth, normal = cpu.march(a, c, camera)
    picture = torch.cat([rgb, opacity[..., None], depth[..., None], normal], -1)
    torch.testing.assert_close(plain_c.forward(library, alpha, colour, camera, rays), picture.detach())
    grad = torch.randn(8, 10, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.autograd.grad(picture, (a, c), grad)
    for got, truth in zip(plain_c.backward(library, alpha, colour, camera, rays, grad), expected, strict=True):
        torch.testing.assert_close(got, truth, rtol=1e-4, atol=1e-5)


def test_a_row_a_backend():
    rows = list(render.bench([6], [8], rounds=1, threads=1))
    backends = ["reference", *(["c"] if plain_c.compiler() else []), "cpu"]
    assert [row["backend"] for row in rows] == backends
    for row in rows:
        assert (row["grid"], row["picture"]) == (6, 8)
        assert row["forward_ms"] > 0 and row["backward_ms"] > 0 and row["times_reference"] > 0
    assert rows[0]["times_reference"] == 1


def test_a_reference_that_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(render, "MEMORY", 1000)
    rows = list(render.bench([6], [8], rounds=1, threads=1))
    assert "reference" not in {row["backend"] for row in rows}
    assert {row["times_reference"] for row in rows} == {None}
