"""`material.train`: exact resume, data from a folder, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from training_toys import Log

from terrarium.worlds.materials.export import export
from terrarium.worlds.materials.kinds import MaterialTrainConfig, train_debug
from terrarium.worlds.materials.losses import map_loss
from terrarium.worlds.materials.model import load_model
from terrarium.worlds.materials.train import schedule_of, train_material
from terrarium.worlds.progress import Stopped

Trained = tuple[Path, Log, dict[str, float]]


def test_a_model_is_trained_stopped_resumed_and_loaded(trained: Trained, tmp_path: Path) -> None:
    whole, log, result = trained
    with pytest.raises(Stopped):
        train_material(train_debug(), tmp_path, Log(stop_at=4))
    assert train_material(train_debug(), tmp_path, again := Log()) == result
    assert again.resumed_at == 4 and again.values == {step: log.values[step] for step in range(5, 11)}
    weights = [load_file(out / "output" / "model.safetensors") for out in (whole, tmp_path)]
    assert all(weights[0][k].equal(weights[1][k]) for k in weights[0])
    exported = export(tmp_path, tmp_path / "exported")
    assert exported == {"step": 10, **result}
    assert {v.dtype for v in load_file(tmp_path / "exported" / "model.safetensors").values()} == {torch.bfloat16}
    assert load_model(tmp_path / "exported")[0].heads.weight.dtype == torch.float32
    with pytest.raises(ValueError, match="has no training state"):
        export(tmp_path / "exported", tmp_path / "none")
    model, manifest = load_model(whole / "output")
    assert not model.training and manifest["quality"] == result
    assert set(result) == {f"{m}_rmse" for m in ("albedo", "roughness", "metallic", "normal")} | {"loss", "normal_deg"}
    assert (whole / "maps.png").is_file()


def test_it_learns_from_a_folder(debug_materials: Path, tmp_path: Path) -> None:
    config = replace(train_debug(str(debug_materials)), steps=2, curriculum=1, freeze_encoder=True, freeze_norms=True)
    train_material(config, tmp_path, Log())
    _, manifest = load_model(tmp_path / "output")
    assert manifest["split"]["by"] == "material" and 1 <= len(manifest["split"]["held_out"]) <= 3
    with pytest.raises(ValueError, match="has 32 pixels a side, expected 64 or more"):
        train_material(replace(config, crop=64), tmp_path / "large", Log())


def smooth(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """A loss of one's own: differences of neighbours."""
    assert found.shape == true.shape and found.shape[1] == 8 and found.dtype == torch.float32
    return (found[..., 1:] - found[..., :-1]).abs().mean()


def wrong(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    return (found - true).mean((1, 2, 3))


def test_a_loss_of_ones_own_counts_and_is_refused_where_it_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("own_losses")
    module.smooth, module.wrong, module.number = smooth, wrong, 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_losses", module)
    config = replace(train_debug(), steps=1, own_loss="own_losses:smooth", own_weight=2.0)
    train_material(config, tmp_path / "own", log := Log())
    assert log.values[1]["own"] > 0 and log.values[1]["loss"] > 2 * log.values[1]["own"]
    for name, reason in (
        ("own_losses:wrong", r"returned \[2\], expected a tensor of one number"),
        ("own_losses:number", "is 3, expected a function"),
        ("own_losses:none", "has no attribute 'none': expected module:function"),
        ("no_such_module:f", "No module named 'no_such_module': expected module:function"),
    ):
        with pytest.raises(ValueError, match=reason):
            train_material(replace(config, own_loss=name), tmp_path / name, Log())


def test_dirty_renders_that_are_not_there_are_refused(debug_materials: Path, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    for name in ("output", "render_metadata.json", "poses.json", "input/clean"):
        (tmp_path / name).symlink_to(debug_materials / name)
    with pytest.raises(ValueError, match="has no dirty renders, which curriculum 2 learns from"):
        train_material(replace(train_debug(str(tmp_path)), curriculum=2), tmp_path / "run", Log())


def test_the_loss_is_nothing_for_the_truth_and_counts_each_map_by_its_weight() -> None:
    maps = torch.rand(2, 8, 16, 16)
    maps[:, 5:] = torch.nn.functional.normalize(maps[:, 5:], dim=1)
    loss, parts = map_loss(maps, maps, MaterialTrainConfig())
    assert float(loss) == pytest.approx(0, abs=1e-5)
    wrong = maps.clone()
    wrong[:, 3] += 0.1
    loss, parts = map_loss(wrong, maps, MaterialTrainConfig(roughness=3))
    assert float(loss) == pytest.approx(0.3, abs=1e-4) and float(parts["roughness"]) == pytest.approx(0.1)


@pytest.mark.parametrize(("name", "last"), [("cosine", 1 / 200), ("step", 0.001), ("plateau", 1), ("none", 1)])
def test_schedules_warm_up_and_fall(name: str, last: float) -> None:
    schedule = schedule_of(replace(train_debug(), schedule=name, steps=90, warmup=9))  # type: ignore[arg-type]
    assert schedule(0, []) == pytest.approx(1 / 9) and schedule(9, []) == pytest.approx(1)
    assert schedule(90, []) == pytest.approx(last)
    bad = [{"loss": 1.0}] * 5
    assert schedule(9, bad) == pytest.approx(0.5 if name == "plateau" else 1)
