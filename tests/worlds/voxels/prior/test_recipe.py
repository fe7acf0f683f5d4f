import pytest

pytest.importorskip("diffusers", reason="the extra `sds` is not installed")

from dataclasses import asdict

import torch
from safetensors.torch import load_file
from training_toys import Log

from terrarium.worlds.progress import Stopped
from terrarium.worlds.voxels.kinds import PriorConfig, prior_bytes, prior_debug
from terrarium.worlds.voxels.prior.export import export
from terrarium.worlds.voxels.prior.model import Prior, load_prior
from terrarium.worlds.voxels.prior.recipe import train_prior


@pytest.mark.parametrize("channels", [(64, 128), (64, 128, 256)])
def test_its_estimate_is_right_within_a_third(channels) -> None:
    found = sum(p.numel() for p in Prior([str(i) for i in range(120)], channels, 128).parameters())
    estimate = prior_bytes(asdict(PriorConfig(channels=channels)), 0)
    assert estimate == pytest.approx(3 * 16 * found, rel=0.33)


def test_a_prior_is_trained_stopped_resumed_and_loaded(tmp_path) -> None:
    whole = train_prior(prior_debug(), tmp_path / "whole", log := Log())
    with pytest.raises(Stopped):
        train_prior(prior_debug(), tmp_path / "pieces", Log(stop_at=4))
    assert train_prior(prior_debug(), tmp_path / "pieces", again := Log()) == whole
    exported = export(tmp_path / "pieces", tmp_path / "exported")
    assert exported == {"step": 10, **whole}
    assert {v.dtype for v in load_file(tmp_path / "exported" / "model.safetensors").values()} == {torch.bfloat16}
    assert load_prior(tmp_path / "exported")[0].unet.dtype == torch.float32
    with pytest.raises(ValueError, match="has no training state"):
        export(tmp_path / "exported", tmp_path / "no")
    assert again.resumed_at == 4 and again.values == {step: log.values[step] for step in range(5, 11)}
    weights = [load_file(tmp_path / name / "output" / "model.safetensors") for name in ("whole", "pieces")]
    assert all(weights[0][k].equal(weights[1][k]) for k in weights[0])
    prior, manifest = load_prior(tmp_path / "whole" / "output")
    assert not prior.training and manifest["quality"] == whole
    assert set(whole) == {"loss_t300", "loss_t600", "loss_t900", "caption_gain"}
    assert (tmp_path / "whole" / "samples.png").is_file()
