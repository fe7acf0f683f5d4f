import numpy as np
import pytest

from terrarium.worlds.blocks.palette import SKY
from terrarium.worlds.blocks.structures.captions import NO_CAPTION, WHOLE_CAPTION, words
from terrarium.worlds.blocks.structures.source import CLASSES, held_out, structure
from terrarium.worlds.voxels.prior import data


def test_an_example_is_its_seeds_and_of_the_split_train() -> None:
    first, again = (data.shown(np.random.default_rng(5)) for _ in range(2))
    assert first.said == again.said and (first.picture == again.picture).all()
    for seed in range(40):
        made = data.shown(np.random.default_rng(seed)).structure
        pair = tuple(made.attributes[key] for key in list(CLASSES[made.name].choices)[:2])
        assert pair not in held_out(made.name)


def test_what_is_said_is_nothing_the_caption_or_some_of_its_words() -> None:
    examples = [data.shown(np.random.default_rng(seed)) for seed in range(300)]
    silent = [e for e in examples if not e.said]
    whole = [e for e in examples if e.said == e.structure.caption]
    assert len(silent) / 300 == pytest.approx(NO_CAPTION, abs=0.06)
    assert len(whole) / 300 == pytest.approx((1 - NO_CAPTION) * WHOLE_CAPTION, abs=0.1)
    for example in examples:
        if example.said:
            assert example.structure.name in words(example.said)
            assert set(words(example.said)) <= set(words(example.structure.caption))


def test_a_structure_fills_its_picture_under_the_clear_sky() -> None:
    seen = data.picture(structure(0, name="castle").blocks, 30.0, 25.0)
    sky = np.rint(255 * SKY).astype(np.uint8)
    assert seen.shape == (64, 64, 3) and (seen[0, 0] == sky).all()
    assert 0.2 < (seen != sky).any(-1).mean() < 0.8
