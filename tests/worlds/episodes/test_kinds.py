"""Configs of what makes datasets."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from terrarium.worlds.kinds import kinds

SIZED = [name for name, kind in kinds().items() if kind.makes == "dataset" and hasattr(kind.config, "width")]


@pytest.mark.parametrize("side", ["width", "height"])
@pytest.mark.parametrize("name", SIZED)
def test_a_size_that_no_tokenizer_takes_is_refused_before_it_is_recorded(name: str, side: str) -> None:
    assert len(SIZED) == 4
    row = kinds()[name]
    given = {"source": "vpt", "path": "-"} if name == "dataset.import" else {}
    with pytest.raises(ValidationError, match=f"{side}\n.*33 is not a multiple of 4, the side of a tokenizer's cell"):
        row.draft(given | {side: 33})
    assert getattr(row.draft(given | {side: 36}), side) == 36
