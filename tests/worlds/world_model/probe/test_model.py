import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.raycast import Labels
from terrarium.worlds.blocks.world import BlockWorld
from terrarium.worlds.precision import computing_in
from terrarium.worlds.world_model.probe.model import (
    CLASSES,
    FEATURES,
    SKY,
    WIDTHS,
    Probe,
    classes,
    degrade,
    load_probe,
    shipped_probe,
)


def test_shapes_and_that_batches_do_not_matter():
    probe, frames = Probe((16, 24)).eval(), np.random.default_rng(0).integers(0, 256, (3, 5, 16, 24, 3), np.uint8)
    sight = probe.read(frames)
    assert sight.features.shape == (3, 5, FEATURES) and sight.confidence.shape == sight.sky.shape == (3, 5, 8, 12)
    assert sight.confidence.min() > 0 and sight.confidence.max() < 1
    np.testing.assert_allclose(probe.read(frames, batch=2).features, sight.features, atol=1e-5)
    answers = probe(torch.rand(2, 3, 16, 24))
    assert [m.shape[1:] for m in answers.maps] == [(WIDTHS[0], 8, 12), (WIDTHS[1], 4, 6), (WIDTHS[2], 2, 3)]
    assert {name: x.shape[1:] for name, x in answers.logits.items()} == {n: (c, 8, 12) for n, c in CLASSES.items()}


def test_it_reads_the_same_under_autocast():
    probe, frames = Probe((16, 16)).eval(), np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    exact = probe.read(frames)
    with computing_in("bf16", torch.device("cpu")):
        assert np.array_equal(probe.read(frames).confidence, exact.confidence)


def test_classes_of_labels():
    block = np.zeros((4, 4), np.uint8)
    block[2:] = 3
    face = np.where(block, 4, 0).astype(np.uint8)
    depth = np.where(block, [[0.5, 0, 5.0, 0]], np.inf).astype(np.float32)
    found = classes(Labels(block, face, depth))
    assert found.shape == (3, 2, 2)
    assert found[:, 0].tolist() == [[SKY[name]] * 2 for name in CLASSES]
    assert found[:, 1].tolist() == [[3, 3], [4, 4], [0, 5]]


def test_some_pictures_are_degraded_and_the_others_left_alone():
    torch.manual_seed(1)
    frames = torch.rand(64, 3, 16, 16)
    made = degrade(frames)
    same = (made == frames).flatten(1).all(dim=1)
    assert 0.4 < same.float().mean() < 0.85
    assert made.min() >= -1e-6 and made.max() <= 1 + 1e-6 and made.shape == frames.shape


def test_the_shipped_probe_names_what_it_sees_and_is_unsure_of_shuffled_cells():
    probe, manifest = load_probe(shipped_probe())
    world = BlockWorld()
    frames = np.stack([world.reset(seed) for seed in range(1_500_000_000, 1_500_000_006)])
    cells = frames.reshape(6, 16, 4, 16, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(6, 256, 4, 4, 3)
    order = np.random.default_rng(0).permutation(256)
    mixed = cells[:, order].reshape(6, 16, 16, 4, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(frames.shape)
    surely, unsurely = ((probe.read(x).confidence > manifest["sure"]).mean() for x in (frames, mixed))
    assert manifest["held_out_accuracy"]["block"] > 0.85
    assert surely > 3 * unsurely and surely == pytest.approx(0.3, abs=0.15)
