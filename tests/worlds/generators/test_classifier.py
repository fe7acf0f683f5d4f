import numpy as np
import pytest

from terrarium.worlds.blocks.structures.source import CLASSES, FIRST, structure
from terrarium.worlds.generators import classifier
from terrarium.worlds.generators.data import held_out
from terrarium.worlds.progress import Silent


def test_the_shipped_classifier_reads_held_out_structures() -> None:
    shipped = classifier.load_classifier(classifier.shipped_classifier())
    made = held_out(77, 32, 16)
    features, answers = shipped.read([each.blocks for each in made])
    assert features.shape == (32, 64)
    found = classifier.accuracy(answers, made)
    assert found["class"] > 0.95 and found["material"] > 0.9 and found["size"] > 0.9


def test_truth_is_said_in_the_caption() -> None:
    for name in FIRST:
        made = structure(3, name=name)
        found = classifier.truth(made)
        assert found["class"] == name and found["size"] in made.caption and found["material"] in made.caption
        assert found["material"] in next(iter(CLASSES[name].choices.values()))


def test_a_classifier_is_trained_saved_and_loaded(tmp_path) -> None:
    quality = classifier.train_classifier(tmp_path, Silent(), steps=2, batch=2)
    assert set(quality) == {"class", "material", "size"}
    fresh = classifier.load_classifier(tmp_path / "output")
    features, _ = fresh.read([np.zeros((16, 16, 16), np.uint8)])
    assert features.shape == (1, 64) and np.isfinite(features).all()


def test_wear_is_bounded() -> None:
    blocks = structure(1).blocks
    changed = [(classifier.worn(blocks, np.random.default_rng(seed)) != blocks).mean() for seed in range(20)]
    assert 0 < max(changed) < classifier.MOST_ERRORS + 0.01


def test_another_folder_is_refused(folder) -> None:
    with pytest.raises(ValueError, match="holds 'generator'"):
        classifier.load_classifier(folder)
