import pytest
import torch
from safetensors.torch import load_file
from training_toys import Log

from terrarium.worlds.generators.export import export
from terrarium.worlds.generators.kinds import GeneratorConfig, train_debug
from terrarium.worlds.generators.model import load_generator
from terrarium.worlds.generators.train import train_generator
from terrarium.worlds.progress import Stopped


def test_a_generator_is_trained_stopped_resumed_and_loaded(tmp_path) -> None:
    whole = train_generator(train_debug(), tmp_path / "whole", log := Log())
    with pytest.raises(Stopped):
        train_generator(train_debug(), tmp_path / "pieces", Log(stop_at=4))
    assert train_generator(train_debug(), tmp_path / "pieces", again := Log()) == whole
    assert again.resumed_at == 4 and again.values == {step: log.values[step] for step in range(5, 11)}
    weights = [load_file(tmp_path / name / "output" / "model.safetensors") for name in ("whole", "pieces")]
    assert all(weights[0][k].equal(weights[1][k]) for k in weights[0])
    exported = export(tmp_path / "pieces", tmp_path / "exported")
    assert exported == {"step": 10, **whole}
    assert {v.dtype for v in load_file(tmp_path / "exported" / "model.safetensors").values()} == {torch.bfloat16}
    generator, manifest = load_generator(tmp_path / "whole" / "output")
    assert not generator.training and manifest["quality"] == whole
    assert set(whole) == {"loss_t500", "loss_t750", "loss_t950", "caption_gain"}
    assert (tmp_path / "whole" / "samples.png").is_file()


@pytest.mark.parametrize("prediction", ["v", "flow"])
def test_the_other_predictions_learn_too(prediction, tmp_path) -> None:
    config = GeneratorConfig(
        prediction=prediction, width=16, depth=1, heads=2, text=16, steps=3, batch=2, validate_every=3, log_every=1
    )
    assert all(value > 0 for value in train_generator(config, tmp_path, Log()).values())


def test_contradictions_are_refused() -> None:
    for given, match in (
        ({"size": 18, "patch": 4}, "patch: 4 does not divide size 18"),
        ({"width": 100, "heads": 3}, "heads: 3 does not divide width 100"),
    ):
        with pytest.raises(ValueError, match=match):
            GeneratorConfig(**given)
