from terrarium.worlds.blocks.structures.captions import vocabulary, words
from terrarium.worlds.blocks.structures.source import FIRST, structure


def test_every_word_of_every_caption_is_in_the_vocabulary() -> None:
    known = set(vocabulary())
    for name in FIRST:
        for seed in range(20):
            said = words(structure(seed, name=name).caption)
            assert set(said) <= known and name in said
