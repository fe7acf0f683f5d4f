"""What each phase trains."""

from __future__ import annotations

import pytest
import torch

from terrarium.worlds.materials.texture.model import SHAPES, TextureNet
from terrarium.worlds.materials.texture.phases import HEADS, PHASES, MapName, PhaseName, comes_after
from terrarium.worlds.materials.texture.trainable import trainable
from terrarium.worlds.training.lora import adapters, is_adapters, merge


@pytest.fixture(scope="module")
def plain() -> TextureNet:
    return TextureNet(SHAPES["debug"], 3)


@pytest.fixture(scope="module")
def adapted() -> TextureNet:
    model = TextureNet(SHAPES["debug"], 3)
    model.adapt(2)
    return model


def parts(names: dict[str, object]) -> set[str]:
    return {".".join(name.split(".")[:2]) for name in names}


def test_a0_and_a_train_everything_and_a_alb_syn_the_albedo_network(plain: TextureNet) -> None:
    every = dict(plain.named_parameters())
    assert trainable(plain, "A0").keys() == trainable(plain, "A").keys() == every.keys()
    assert parts(trainable(plain, "A0")) == {
        *("albedo.encoder", "albedo.up", "albedo.heads", "maps.encoder", "maps.film", "maps.up", "maps.heads"),
        *(
            "segmentation.stages",
            "segmentation.decoder",
            "tagger.patches",
            "tagger.layers",
            "tagger.norm",
            "tagger.out",
        ),
    }
    assert set(trainable(plain, "A_alb_syn")) == {name for name in every if name.startswith("albedo.")}


def test_b_trains_heads_and_adapters(adapted: TextureNet) -> None:
    found = trainable(adapted, "B")
    assert parts(found) == {
        *("albedo.encoder", "albedo.heads", "maps.encoder", "maps.heads", "segmentation.stages", "segmentation.decoder")
    }
    backbone = [name for name in found if ".encoder." in name or ".stages." in name]
    assert backbone and all(is_adapters(name) for name in backbone)
    assert len(backbone) == 2 * len(adapters(adapted)) == 2 * (2 * 9 + 4 * 5)  # of 9 convolutions, and 5 linear layers


def test_c_trains_the_deeper_half_of_the_encoders_besides(adapted: TextureNet) -> None:
    found = trainable(adapted, "C")
    more = found.keys() - trainable(adapted, "B").keys()
    prefixes = {
        f"{encoder}.{i}"
        for encoder in ("albedo.encoder.stages", "maps.encoder.stages", "segmentation.stages")
        for i in (2, 3)
    }
    deep = {name for name in dict(adapted.named_parameters()) if any(name.startswith(p + ".") for p in prefixes)}
    assert more == {name for name in deep if not is_adapters(name)} and deep <= found.keys()


def test_c_prime_trains_scales_and_shifts_of_norms(adapted: TextureNet) -> None:
    found = trainable(adapted, "Cp")
    assert found and all(p.ndim == 1 for p in found.values()) and not any("tagger" in name for name in found)
    owners = {type(adapted.get_submodule(name.rpartition(".")[0])) for name in found}
    assert owners == {torch.nn.GroupNorm, torch.nn.LayerNorm}


@pytest.mark.parametrize("head", HEADS)
def test_d_trains_one_head(adapted: TextureNet, head: MapName) -> None:
    network = "albedo" if head == "albedo" else "maps"
    owned = {
        f"{network}.heads.{head}.{name}"
        for name, _ in adapted.get_submodule(f"{network}.heads.{head}").named_parameters()
    }
    assert set(trainable(adapted, "D", head)) == owned and len(owned) == 7


def test_a_map_belongs_to_d_alone(adapted: TextureNet) -> None:
    for phase, head in (("D", None), ("B", "ao")):
        with pytest.raises(ValueError, match="expected a map for D, and for no other phase"):
            trainable(adapted, phase, head)  # type: ignore[arg-type]


def test_phases_start_from_the_one_before() -> None:
    order: list[tuple[PhaseName, str]] = [("A", "A0"), ("A_alb_syn", "A0"), ("B", "A"), ("C", "B"), ("Cp", "C")]
    assert all(comes_after(phase, None) == before for phase, before in order) and PHASES["A0"].after is None
    assert [comes_after("D", head) for head in HEADS] == ["Cp", *(f"D_{head}" for head in HEADS[:-1])]


def test_adapters_begin_as_nothing_and_merge(plain: TextureNet) -> None:
    torch.manual_seed(0)
    model = TextureNet(SHAPES["debug"], 3).eval()
    x, normal = torch.rand(1, 3, 32, 32), torch.nn.functional.normalize(torch.randn(1, 3, 32, 32), dim=1)
    with torch.no_grad():
        before = model(x, normal)
        assert before.albedo.sub(x.clamp(0.01, 0.99)).abs().max() < 1e-5  # it begins as the diffuse
        model.adapt(2)
        assert model(x, normal).classes.equal(before.classes)
        for each in adapters(model):
            torch.nn.init.normal_(each.up.weight, std=0.1)
        changed = model(x, normal)
        merge(model)
        torch.testing.assert_close(model(x, normal).classes, changed.classes, rtol=1e-4, atol=1e-4)
    assert not changed.classes.equal(before.classes) and model.state_dict().keys() == plain.state_dict().keys()


def test_other_sizes_are_refused(plain: TextureNet) -> None:
    with pytest.raises(ValueError, match="expected sides that are multiples of 32"):
        plain(torch.rand(1, 3, 48, 32), torch.rand(1, 3, 48, 32))
