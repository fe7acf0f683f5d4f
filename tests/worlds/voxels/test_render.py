"""One interface: shapes, dtypes, backgrounds, errors, and results that threads do not change."""

import numba
import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import ID, SKY
from terrarium.worlds.voxels import cpu, march
from terrarium.worlds.voxels.camera import look_at, orbit
from terrarium.worlds.voxels.checks import gradients, soft
from terrarium.worlds.voxels.render import of_blocks, render

SHAPE = (3, 4, 5)
CAMERA = orbit(SHAPE, 30, 20, 9, 7)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_picture_has_the_cameras_size_and_the_inputs_dtype(backend, dtype):
    picture = render(*soft(SHAPE, dtype), CAMERA, backend=backend)
    assert [tuple(part.shape) for part in picture] == [(7, 9, 3), (7, 9), (7, 9), (7, 9, 3)]
    assert {part.dtype for part in picture} == {dtype}
    assert picture.opacity.min() >= 0 and picture.opacity.max() <= 1


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_one_block_shows_its_depth_and_normal(backend):
    blocks = np.zeros((3, 3, 3), np.uint8)
    blocks[1, 1, 1] = ID["Stone"]
    camera = look_at((1.5, 1.5, 8.0), (1.5, 1.5, 0.0), 5, 5, 20)
    picture = render(*of_blocks(blocks, torch.float64), camera, backend=backend)
    assert picture.opacity[2, 2] == 1 and picture.depth[2, 2] == pytest.approx(6)
    assert picture.normal[2, 2].tolist() == [0, 0, 1]
    assert picture.opacity[0, 0] == 0 and picture.rgb[0, 0].tolist() == pytest.approx(SKY)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_backgrounds(backend):
    alpha, colour = soft(SHAPE, torch.float64)
    black = render(alpha, colour, CAMERA, background=torch.zeros(3), backend=backend)
    field = torch.rand(7, 9, 3, dtype=torch.float64)
    picture = render(alpha, colour, CAMERA, background=field, backend=backend)
    torch.testing.assert_close(picture.rgb, black.rgb + (1 - black.opacity)[..., None] * field)


def test_inputs_may_have_any_strides():
    alpha, colour = soft((5, 4, 3), torch.float32)
    turned = render(alpha.permute(2, 1, 0), colour.permute(2, 1, 0, 3, 4), CAMERA)
    straight = render(alpha.permute(2, 1, 0).contiguous(), colour.permute(2, 1, 0, 3, 4).contiguous(), CAMERA)
    assert turned.rgb.equal(straight.rgb)


def test_threads_change_no_picture_and_gradients_by_rounding_alone():
    alpha, colour = soft(SHAPE, torch.float64)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            results.append(gradients(alpha, colour, CAMERA, "cpu"))
    finally:
        numba.set_num_threads(before)
    (one, *grads), (two, *others) = results
    assert all(a.equal(b) for a, b in zip(one, two, strict=True))
    for a, b in zip(grads, others, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_every_pixel_is_written():
    """The output's memory is not cleared before: it holds NaN here."""
    alpha, colour = soft(SHAPE, torch.float32)
    out = [np.full((7, 9, *rest), np.nan, np.float32) for rest in ((3,), (), (), (3,))]
    march.forward(*cpu.arguments(alpha, colour, CAMERA), 2, *out)
    assert all(np.isfinite(part).all() for part in out)


def test_gradients_are_written_not_added_to_what_was_there():
    alpha, colour = soft(SHAPE, torch.float32)
    grads = [np.ones((7, 9, *rest), np.float32) for rest in ((3,), (), (), (3,))]
    d_alpha = np.full((2, alpha.numel()), np.nan, np.float32)
    d_colour = np.full((2, alpha.numel(), 6, 3), np.nan, np.float32)
    march.backward(*cpu.arguments(alpha, colour, CAMERA), *grads, d_alpha, d_colour)
    assert np.isfinite(d_alpha).all() and np.isfinite(d_colour).all()


@pytest.mark.parametrize(
    ("alpha", "colour", "options", "message"),
    [
        (torch.ones(3, 4), torch.ones(3, 4, 6, 3), {}, r"alpha has shape \[3, 4\]: expected \[X, Y, Z\]"),
        (torch.ones(3, 4, 0), torch.ones(3, 4, 0, 6, 3), {}, "none of them 0"),
        (torch.ones(3, 4, 5), torch.ones(3, 4, 5, 3), {}, r"\[3, 4, 5, 3\]: expected \[3, 4, 5, 6, 3\]"),
        (torch.ones(3, 4, 5).half(), torch.ones(3, 4, 5, 6, 3).half(), {}, "torch.float16.*expected float32"),
        (torch.ones(3, 4, 5), torch.ones(3, 4, 5, 6, 3).double(), {}, "face_colour torch.float64"),
        (torch.ones(3, 4, 5), torch.ones(3, 4, 5, 6, 3, device="meta"), {}, "face_colour is on meta"),
        (torch.ones(3, 4, 5), torch.ones(3, 4, 5, 6, 3), {"backend": "gl"}, "backend is 'gl': expected one of ref"),
    ],
)
def test_what_does_not_fit_is_named(alpha, colour, options, message):
    with pytest.raises(ValueError, match=message):
        render(alpha, colour, CAMERA, **options)


def test_the_backend_cpu_wants_tensors_on_the_cpu():
    alpha, colour = (t.to("meta") for t in soft(SHAPE, torch.float32))
    with pytest.raises(ValueError, match="alpha is on meta: the backend cpu expects it on the CPU"):
        render(alpha, colour, CAMERA, backend="cpu")


def test_the_backend_triton_wants_tensors_on_a_gpu():
    with pytest.raises(ValueError, match="alpha is on cpu: the backend triton expects it on a GPU"):
        render(*soft(SHAPE, torch.float32), CAMERA, backend="triton")
