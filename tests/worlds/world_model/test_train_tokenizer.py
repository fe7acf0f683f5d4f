"""The perceptual loss in the tokenizer's recipe. What all recipes promise is tested in test_recipe.py."""

import json
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from terrarium.worlds.progress import Silent
from terrarium.worlds.world_model.kinds import TokenizerConfig, tokenizer_debug
from terrarium.worlds.world_model.train_tokenizer import train_tokenizer


class Losses(Silent):
    def __init__(self):
        self.steps = {}

    def metrics(self, step, values):
        self.steps.setdefault(step, {}).update(values)


def test_perceptual_loss_is_in_the_loss_the_metrics_and_the_manifest(debug_data, tmp_path):
    config = replace(tokenizer_debug(str(debug_data)), steps=3, perceptual=2.0)
    plain, perceptual = Losses(), Losses()
    train_tokenizer(replace(config, perceptual=0.0), tmp_path / "plain", plain)
    train_tokenizer(config, tmp_path / "perceptual", perceptual)
    first, other = perceptual.steps[1], plain.steps[1]
    assert first["lpips"] > 0 and "lpips" not in other
    assert first["loss"] == pytest.approx(other["loss"] + 2 * first["lpips"], rel=1e-3)
    assert first["grad_norm"] != other["grad_norm"]
    manifests = [json.loads((tmp_path / d / "output" / "manifest.json").read_text()) for d in ("plain", "perceptual")]
    assert "perceptual" not in manifests[0]
    assert manifests[1]["perceptual"]["weight"] == 2.0 and "random weights" in manifests[1]["perceptual"]["note"]


def test_a_trunk_without_its_file_says_where_to_get_it(debug_data, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = replace(tokenizer_debug(str(debug_data)), perceptual=1.0, perceptual_trunk="vgg")
    with pytest.raises(ValueError, match=r"vgg16-397923af\.pth into that folder"):
        train_tokenizer(config, tmp_path / "run", Silent())


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.pth", "a/b.pth", "..", "", "a\\b"])
def test_weights_are_a_file_name_and_no_path(name):
    with pytest.raises(ValidationError, match="perceptual_weights"):
        TypeAdapter(TokenizerConfig).validate_python({"data": "-", "perceptual_weights": name})
