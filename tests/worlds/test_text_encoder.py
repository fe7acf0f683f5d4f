import pytest
import torch

from terrarium.worlds.blocks.structures.captions import vocabulary
from terrarium.worlds.text_encoder import BEGIN, FIRST_WORD, LONGEST, Captions


def test_words_have_numbers_and_unknown_ones_are_passed_over() -> None:
    captions = Captions(vocabulary(), 16)
    tower, stone = captions.number["tower"], captions.number["stone"]
    assert captions.numbers("A Stone TOWER, quickly!")[-2:] == [stone, tower] and min(stone, tower) >= FIRST_WORD
    assert captions.numbers("") == [BEGIN]
    assert captions.tokens(["stone tower", ""]).tolist() == [[BEGIN, stone, tower], [BEGIN, 0, 0]]
    with pytest.raises(ValueError, match="'quark' has no word that the model knows: expected some of a, an"):
        captions.numbers("quark")
    with pytest.raises(ValueError, match=f"33 words that the model knows: expected at most {LONGEST}"):
        captions.numbers("tower " * 33)


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    captions = Captions(vocabulary(), 16).eval()
    states, there, pooled = captions(captions.tokens(["a tower", "a large smooth stone pyramid on sand"]))
    alone = captions(captions.tokens(["a tower"]))
    assert there.sum(1).tolist() == [3, 8]
    torch.testing.assert_close(states[:1, :3], alone[0])
    torch.testing.assert_close(pooled[:1], alone[2])
