"""What the march is: against rays walked in small steps, and by hand."""

import pytest
import torch
from torch.autograd import gradcheck

from terrarium.kernels.march.fused import march
from terrarium.kernels.march.naive import crossed

SHAPE = (4, 3, 5)


def fog(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(SHAPE, generator=generator).to(dtype), torch.rand((*SHAPE, 6, 3), generator=generator).to(dtype)


def rays_towards(eye, count=20):
    """Unit rays to random points of the grid, none along an edge."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(count, 3, generator=generator, dtype=torch.float64) * torch.tensor(SHAPE)
    return torch.nn.functional.normalize(points - eye, dim=-1)


@pytest.mark.parametrize("eye", [(9.3, 7.1, -6.2), (1.3, 1.2, 2.6), (2.4, -8.0, 2.1)])
def test_rays_cross_the_voxels_that_small_steps_meet(eye):
    eye = torch.tensor(eye, dtype=torch.float64)
    rays = rays_towards(eye)
    found = crossed(SHAPE, eye, rays)
    for i, ray in enumerate(rays):
        points = (eye + torch.arange(1e-4, 30, 1e-3, dtype=torch.float64)[:, None] * ray).floor()
        inside = ((points >= 0) & (points < torch.tensor(SHAPE))).all(1)
        x, y, z = points[inside].long().T
        met = torch.unique_consecutive((x * SHAPE[1] + y) * SHAPE[2] + z)
        got = found.voxel[i][found.there[i]]
        assert set(met.tolist()) <= set(got.tolist())  # steps may miss a corner
        assert [v for v in got.tolist() if v in set(met.tolist())] == met.tolist()
        t = found.t[i][found.there[i]]
        assert (t.diff() > 0).all() and t[0] >= 0


def test_gradients():
    alpha, colour = (x.requires_grad_() for x in fog())
    eye = torch.tensor((9.3, 7.1, -6.2), dtype=torch.float64)
    rays = rays_towards(eye, 3)
    assert gradcheck(lambda a, c: march(a, c, eye, rays), (alpha, colour))


def test_compiles_to_one_graph():
    alpha, colour = fog(torch.float32)
    eye = torch.tensor((9.3, 7.1, -6.2), dtype=torch.float64)
    rays = rays_towards(eye)
    compiled = torch.compile(march, fullgraph=True, backend="aot_eager")(alpha, colour, eye, rays)
    torch.testing.assert_close(compiled, march(alpha, colour, eye, rays))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": torch.ones(3, 4)}, r"alpha has shape \[3, 4\]; expected \[X, Y, Z\]"),
        ({"alpha": torch.ones(0, 3, 5)}, "of 1 to"),
        ({"alpha": torch.ones(SHAPE).half()}, "alpha is torch.float16, face_colour torch.float32; expected"),
        ({"face_colour": torch.ones(*SHAPE, 3)}, r"face_colour has shape \[4, 3, 5, 3\]; expected \[4, 3, 5, 6, 3\]"),
        ({"eye": torch.zeros(3)}, "eye is torch.float32, rays torch.float64; expected torch.float64"),
        ({"rays": torch.zeros(4, 2, dtype=torch.float64)}, r"rays has shape \[4, 2\]; expected \[4, 3\]"),
        ({"eye": torch.zeros(3, dtype=torch.float64, device="meta")}, "eye is on meta, alpha on cpu"),
    ],
)
def test_what_it_cannot_do_is_said(change, message):
    alpha, colour = fog(torch.float32)
    eye = torch.tensor((9.3, 7.1, -6.2), dtype=torch.float64)
    inputs = {"alpha": alpha, "face_colour": colour, "eye": eye, "rays": rays_towards(eye)}
    with pytest.raises(ValueError, match=message):
        march(**inputs | change)
