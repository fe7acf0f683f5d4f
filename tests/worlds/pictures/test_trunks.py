import hashlib

import pytest
import torch
from second_device import BACKEND

from terrarium.worlds.pictures.trunks import TRUNKS, load_trunk


def published(name, folder, change=None):
    """A file as torchvision publishes it, but for its weights: features under their names, a classifier too."""
    state = {f"features.{k}": v for k, v in torch.nn.Sequential(*TRUNKS[name].layers()).state_dict().items()}
    state["classifier.1.weight"] = torch.zeros(3, 3)
    torch.save(state | (change or {}), folder / "weights.pth")
    return folder / "weights.pth"


@pytest.mark.parametrize("name", TRUNKS)
def test_features_have_their_channels_down_to_the_smallest_picture(name, tmp_path):
    trunk = TRUNKS[name]
    features, _ = load_trunk(name, None if name == "random" else published(name, tmp_path))
    for side in (trunk.smallest, 67):
        x, shapes, first = torch.zeros(1, 3, side, side), [], 0
        for end in trunk.ends:
            x, first = features[first:end](x), end
            shapes.append(x.shape)
        assert tuple(s[1] for s in shapes) == trunk.channels and min(shapes[-1][2:]) >= 1
    assert len(features) == trunk.ends[-1]
    with pytest.raises(RuntimeError):
        features(torch.zeros(1, 3, trunk.smallest - 1, trunk.smallest - 1))


def test_names_are_those_of_the_published_files():
    """The ends of the published state dicts' lists: torchvision's layers 0 ... 28 of VGG16 and so on."""
    keys = {name: set(torch.nn.Sequential(*trunk.layers()).state_dict()) for name, trunk in TRUNKS.items()}
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    assert keys["vgg"] == {f"{i}.{kind}" for i in convolutions for kind in ("weight", "bias")}
    assert keys["alex"] == {f"{i}.{kind}" for i in (0, 3, 6, 8, 10) for kind in ("weight", "bias")}
    parts = [f"{i}.{part}" for i in (3, 4, 6, 7, 9, 10, 11, 12) for part in ("squeeze", "expand1x1", "expand3x3")]
    assert keys["squeeze"] == {f"{p}.{kind}" for p in ["0", *parts] for kind in ("weight", "bias")}


def test_a_file_is_loaded_and_frozen(tmp_path):
    path = published("alex", tmp_path, {"features.0.bias": torch.full((64,), 0.5)})
    features, sha256 = load_trunk("alex", path)
    assert (features[0].bias == 0.5).all() and not any(p.requires_grad for p in features.parameters())
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    named = path.rename(tmp_path / f"alexnet-owt-{sha256[:8]}.pth")
    assert load_trunk("alex", named)[1] == sha256


def test_the_random_trunk_is_always_the_same_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    first, sha256 = load_trunk("random", None)
    after = torch.rand(())
    assert BACKEND.seed == 5
    torch.manual_seed(5)
    assert after == torch.rand(()) and sha256 is None
    second, _ = load_trunk("random", None)
    assert all(a.equal(b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert abs(float(first[3].weight.std()) - (2 / (9 * 32)) ** 0.5) < 0.003


def test_what_does_not_fit_is_said(tmp_path):
    path = published("alex", tmp_path, {"features.3.weight": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match=r"features.3.weight has shape \[2, 2\], expected \[192, 64, 5, 5\]"):
        load_trunk("alex", path)
    with pytest.raises(ValueError, match=r"features\.0\.weight has shape"):
        load_trunk("vgg", published("alex", tmp_path))
    named = path.rename(tmp_path / "alexnet-owt-7be5be79.pth")
    with pytest.raises(ValueError, match="expected one that starts with 7be5be79"):
        load_trunk("alex", named)
    with pytest.raises(ValueError, match="is not there: expected a file of weights"):
        load_trunk("alex", tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_trunk("alex", tmp_path / "text.pth")
    with pytest.raises(ValueError, match="unknown trunk 'resnet': expected one of vgg, alex, squeeze, random"):
        load_trunk("resnet", None)
    with pytest.raises(ValueError, match="expected a file, or 'random' and none"):
        load_trunk("random", tmp_path / "text.pth")


def test_nothing_in_a_file_is_executed(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (tmp_path.joinpath("owned").touch, ())

    torch.save({"features.0.weight": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_trunk("alex", tmp_path / "hostile.pth")
    assert not (tmp_path / "owned").exists()
