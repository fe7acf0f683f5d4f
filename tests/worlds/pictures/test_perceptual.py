import json
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch

from terrarium.worlds.pictures.perceptual import LPIPS, MEAN, STD, hub_file
from terrarium.worlds.pictures.trunks import TRUNKS


def pictures(batch=2, side=40):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, 3, side, side, generator=generator) * 2 - 1
    return x, (x + 0.3 * torch.randn(x.shape, generator=generator)).clamp(-1, 1)


def files(trunk, folder):
    """A trunk's and its heads' files with random weights, as torchvision and lpips name them."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*TRUNKS[trunk].layers())
    weights, heads = folder / "weights.pth", folder / "heads.pth"
    torch.save({f"features.{k}": v for k, v in layers.state_dict().items()}, weights)
    torch.save({f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(TRUNKS[trunk].channels)}, heads)
    return weights, heads


def test_the_gradient_is_there_and_shows_the_way():
    """A loss whose gradient is silently zero looks just like one that works."""
    lpips = LPIPS("random")
    x, y = pictures()
    x.requires_grad_()
    before = lpips(x, y)
    (dx,) = torch.autograd.grad(before.sum(), x)
    assert torch.isfinite(dx).all() and (dx.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert (lpips((x - 5 * dx).detach(), y) < before).all()
    assert not any(p.requires_grad for p in lpips.parameters())


def test_a_gradient_asked_for_where_there_are_none_is_an_error():
    lpips = LPIPS("random")
    x, y = pictures()
    with torch.no_grad():
        assert (lpips(x, y) > 0).all()
        x.requires_grad_()
        with pytest.raises(ValueError, match="a picture requires a gradient but gradients are off"):
            lpips(x, y)
        assert (lpips(x.detach(), y) > 0).all()


def test_the_random_trunk_ranks_and_says_what_it_is():
    lpips = LPIPS("random")
    x, y = pictures()
    far = lpips(x, -x)
    assert (lpips(x, x) == 0).all() and (lpips(x, y) > 0).all() and (far > lpips(x, y)).all() and (far < 2).all()
    torch.testing.assert_close(lpips(x, y), lpips(y, x))
    assert lpips(x, y).equal(LPIPS("random")(x, y))
    assert "random weights" in json.loads(json.dumps(lpips.facts))["note"]


@pytest.mark.parametrize("trunk", ["vgg", "alex", "squeeze"])
def test_follows_the_definition(trunk, tmp_path):
    weights, heads = files(trunk, tmp_path)
    lpips = LPIPS(trunk, weights, heads)
    x, y = pictures(batch=1)
    expected, first, state = 0.0, 0, torch.load(heads, weights_only=True)
    x_, y_ = ((p - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1) for p in (x, y))
    for i, end in enumerate(TRUNKS[trunk].ends):
        x_, y_ = lpips.features[first:end](x_), lpips.features[first:end](y_)
        difference = x_ / (x_.norm(dim=1, keepdim=True) + 1e-10) - y_ / (y_.norm(dim=1, keepdim=True) + 1e-10)
        expected += float((difference**2 * state[f"lin{i}.model.1.weight"]).sum(dim=1).mean())
        first = end
    assert float(lpips(x, y)) == pytest.approx(expected, rel=1e-4)
    assert lpips.facts["weights"] == "weights.pth" and "note" not in lpips.facts


def test_wrong_files_and_pictures_are_said(tmp_path, monkeypatch):
    weights, heads = files("alex", tmp_path)
    torch.save({"lin0.model.1.weight": torch.rand(1, 64, 1, 1)}, tmp_path / "short.pth")
    with pytest.raises(ValueError, match=r"lin1.model.1.weight has shape None, expected \[1, 192, 1, 1\]"):
        LPIPS("alex", weights, tmp_path / "short.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert hub_file("a.pth") == tmp_path / "home" / "hub" / "checkpoints" / "a.pth"
    with pytest.raises(ValueError, match=r"download https://download.pytorch.org/models/vgg16-397923af.pth into"):
        LPIPS("vgg", None, heads)
    with pytest.raises(ValueError, match="unknown trunk 'resnet'"):
        LPIPS("resnet")
    lpips = LPIPS("alex", weights, heads)
    with pytest.raises(ValueError, match=r"\[1, 3, 30, 64\].*H and W at least 31"):
        lpips(torch.zeros(1, 3, 30, 64), torch.zeros(1, 3, 30, 64))
    with pytest.raises(ValueError, match=r"\[1, 3, 40, 40\] and \[1, 3, 40, 41\]"):
        lpips(torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 41))


def test_heads_of_an_installed_lpips_are_found_or_the_way_to_them_is_said(tmp_path):
    weights, _ = files("alex", tmp_path)
    try:
        distribution("lpips")
    except PackageNotFoundError:
        with pytest.raises(ValueError, match="pip install --no-deps lpips"):
            LPIPS("alex", weights)
    else:
        assert (LPIPS("alex", weights).head0 >= 0).all()  # the authors keep the weights from going below 0


@pytest.mark.parametrize("trunk", ["vgg", "alex", "squeeze"])
def test_against_the_published_implementation(trunk, tmp_path):
    theirs = published_lpips(trunk)
    state = {f"features.{k.split('.', 1)[1]}": v for k, v in theirs.net.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    x, y = pictures(side=64)
    with torch.no_grad():
        torch.testing.assert_close(
            LPIPS(trunk, tmp_path / "weights.pth")(x, y), theirs(x, y).flatten(), rtol=1e-4, atol=1e-6
        )


def published_lpips(trunk):
    """With the published heads on a random trunk, so that nothing is downloaded."""
    try:
        import lpips
    except Exception as error:  # not installed, or a torchvision that does not fit torch
        pytest.skip(f"lpips cannot be imported: {type(error).__name__}: {error}")
    return lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False).eval()
