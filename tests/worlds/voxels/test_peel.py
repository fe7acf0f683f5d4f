"""The backend nvdiffrast on a rasteriser of our own with the same calls, and on the real one where there is one."""

import pytest
import software_rasteriser
import torch

from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.voxels import checks, memory, peel
from terrarium.worlds.voxels.camera import look_at, orbit
from terrarium.worlds.voxels.render import default_backend, of_blocks, render


@pytest.fixture
def software(monkeypatch):
    software_rasteriser.install(monkeypatch)


@pytest.mark.parametrize(
    "group", [checks.across, checks.along_axes, checks.empty_and_full], ids=lambda group: group.__name__
)
def test_a_check_holds(group, software):
    made = list(group())
    assert made and {check.backend for check in made} == {"nvdiffrast"}
    assert [check for check in made if not check.holds] == []


def test_a_structure_looks_as_by_the_reference(software):
    alpha, colour = of_blocks(structure(7).blocks)
    camera = orbit((16, 16, 16), 40, 25, 40, 30)
    pixels = checks.counted(alpha, camera, "nvdiffrast")
    got, picture = (render(alpha, colour, camera, backend=backend) for backend in ("nvdiffrast", "reference"))
    assert pixels.float().mean() > 0.3
    for ours, theirs in zip(got, picture, strict=True):
        torch.testing.assert_close(ours[pixels], theirs[pixels], rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_finite_differences(software):
    alpha, colour = (t.requires_grad_() for t in checks.soft((2, 2, 2), torch.float64))
    for camera in (orbit((2, 2, 2), 30, 20, 2, 3), look_at((0.9, 0.7, 1.1), (2, 2, 0), 2, 2)):
        assert torch.autograd.gradcheck(
            lambda a, c, camera=camera: tuple(render(a, c, camera, backend="nvdiffrast")),
            (alpha, colour),
            fast_mode=True,
        )


def test_what_is_behind_an_opaque_voxel_is_drawn_too(software):
    """Nothing is culled: the gradient of an opaque voxel is the difference to what stands behind it."""
    alpha = torch.tensor([1.0, 0.5, 0.5]).view(1, 1, 3).requires_grad_()
    colour = torch.tensor([0.2, 0.7, 0.9]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 6, 3)
    camera = look_at((0.5, 0.4, -4.0), (0.5, 0.4, 0.0), 1, 1)
    red = render(alpha, colour, camera, background=torch.zeros(3), backend="nvdiffrast").rgb[0, 0, 0]
    (grad,) = torch.autograd.grad(red, alpha)
    torch.testing.assert_close(grad.flatten(), torch.tensor([0.2 - (0.35 + 0.225), 0.0, 0.0]))


def test_it_is_chosen_on_a_gpu_where_it_is_installed(monkeypatch):
    for installed, name in ((True, "nvdiffrast"), (False, "triton")):
        monkeypatch.setattr(peel, "installed", lambda installed=installed: installed)
        assert default_backend(torch.device("cuda")) == name
        assert default_backend(torch.device("cpu")) == "cpu"


def test_memory_counts_what_it_lists(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**8)
    memory.check_memory((16, 16, 16), 128)
    monkeypatch.setattr(memory, "default_backend", lambda device: "nvdiffrast")
    with pytest.raises(ValueError, match=r"takes about 0\.1 GB of memory"):
        memory.check_memory((16, 16, 16), 128)


def test_where_it_cannot_draw_it_says_so(monkeypatch):
    alpha, colour = checks.soft((3, 4, 5), torch.float32)
    camera = orbit((3, 4, 5), 30, 20, 4, 4)
    with pytest.raises(ValueError, match="alpha is on cpu: the backend nvdiffrast expects it on a GPU"):
        render(alpha, colour, camera, backend="nvdiffrast")
    with monkeypatch.context() as missing:
        missing.setattr(peel, "DEVICES", ("cpu",))
        missing.setattr(peel, "installed", lambda: False)
        with pytest.raises(ValueError, match="not installed: expected another"):
            render(alpha, colour, camera, backend="nvdiffrast")
    software_rasteriser.install(monkeypatch)
    monkeypatch.setattr(peel, "MOST_TRIANGLES", 100)
    with pytest.raises(ValueError, match=r"3 x 4 x 5 voxels turn 1\d\d faces to the eye"):
        render(alpha, colour, camera, backend="nvdiffrast")


@pytest.mark.skipif(
    not (torch.cuda.is_available() and peel.installed()), reason="nvdiffrast and a GPU are not both here"
)
@pytest.mark.parametrize("group", checks.CHECKS, ids=lambda group: group.__name__)
def test_a_check_holds_with_the_real_one(group, monkeypatch):
    monkeypatch.setattr(checks, "HERE", ("nvdiffrast",))
    monkeypatch.setattr(checks, "FAST", ("nvdiffrast",))
    assert [check for check in group() if not check.holds] == []
