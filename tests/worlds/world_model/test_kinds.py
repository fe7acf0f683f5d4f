"""Configs: contradictions are refused before anything is trained, and what is accepted can be trained."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from terrarium.worlds.kinds import Conflict, kinds
from terrarium.worlds.progress import Silent

TOKENIZER, WORLD_MODEL = kinds()["tokenizer.train"], kinds()["world-model.train"]
SIZES = {"steps": 1, "channels": 8, "batch": 2, "log_every": 1}
PAINTER = {"painter_channels": 12, "painter_warm_up": 1, "painter_steps": 2, "painter_walks": 2, "painter_rows": 2}


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("world-model.train", {"burn_in": 12}, "burn_in: 12 of the 12 frames of a clip: expected fewer"),
        ("world-model.train", {"burn_in": 50}, "burn_in: 50 of the 12 frames"),
        ("world-model.train", {"burn_in": 1}, "greater than or equal to 2"),
        ("world-model.train", {"channels": 9}, "multiple of 2"),
        ("world-model.train", {"steps": 0}, "steps: 0 without a world model to start from and a painter"),
        ("world-model.train", {"steps": 0, "start": "x", "painter": False}, "steps: 0 without a world model"),
        ("world-model.train", {"flow": False}, "painter: true without a flow"),
        ("world-model.train", {"painter_longest": 15}, "greater than or equal to 16"),
        ("world-model.train", {"tokenizer_channels": 12}, "multiple of 8"),
        ("world-model.train", {"accumulate": 3}, "accumulate: 3 parts of a batch of 8: expected a divisor"),
        ("world-model.train", {"lr": float("nan")}, "finite"),
        ("tokenizer.train", {"accumulate": 64}, "accumulate: 64 parts of a batch of 32"),
        ("tokenizer.train", {"channels": 12}, "multiple of 8"),
        ("tokenizer.train", {"levels": [16] * 5}, "are 1048576 codes, expected at most 65536"),
        ("tokenizer.train", {"levels": [2] * 17}, "at most 16 items"),
        ("tokenizer.train", {"levels": []}, "at least 1 item"),
        ("tokenizer.train", {"checkpoint_every_s": float("inf")}, "finite"),
        ("dataset.record-gym", {"env": "a\0b"}, "match pattern"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(kind: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        kinds()[kind].draft(values)


def test_a_contradiction_names_its_field() -> None:
    with pytest.raises(ValidationError) as caught:
        WORLD_MODEL.draft({"burn_in": 50})
    (error,) = caught.value.errors()
    assert isinstance(error["ctx"]["error"], Conflict) and error["ctx"]["error"].field == "burn_in"


def any_of(**choices: tuple[Any, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.sampled_from(values) for name, values in choices.items()})


TRIED = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@TRIED
@given(
    any_of(
        quantiser=("fsq", "ema_vq"),
        levels=((2,), (8, 5, 5, 5), (2,) * 16),
        codes=(8, 9),
        code_dim=(2, 3),
        perceptual=(0, 1.0),
        channels=(8, 16),
        batch=(2, 4),
        accumulate=(1, 2),
    )
)
def test_an_accepted_tokenizer_can_be_trained(debug_data, tmp_path_factory, values) -> None:
    config = TOKENIZER.read(SIZES | values | {"data": str(debug_data)})
    TOKENIZER.run(config, tmp_path_factory.mktemp("t"), Silent())


@TRIED
@given(
    any_of(
        channels=(8, 10),
        layers=(1, 2),
        flow=(True, False),
        flow_context=(True, False),
        moving=(True, False),
        moving_camera=(True, False),
        true_flow=(0, 1),
        reset=("after", "before"),
        film=("place", "uniform", "paths"),
        recent=(0, 1, 16),
        margin=(0, 1, 256),
        painter=(True, False),
        painter_longest=(16, 200),
        frames=(4, 5, 8),
        burn_in=(2, 3, 7),
        horizon=(1, 64),
        rollout_fraction=(0, 1),
        cross_entropy=(0, 1),
        refine=(0, 1),
        action_contrast=(0, 1),
        soft=(0, 1),
        echo=(0, 1),
        rare_share=(0, 1),
        batch=(2, 4),
        accumulate=(1, 2),
    )
)
def test_an_accepted_world_model_can_be_trained(debug_data, debug_tokenizer, tmp_path_factory, values) -> None:
    named = {"data": str(debug_data), "tokenizer": str(debug_tokenizer)}
    try:
        config = WORLD_MODEL.read(SIZES | PAINTER | values | named)
    except ValidationError:
        assume(False)
    WORLD_MODEL.run(config, tmp_path_factory.mktemp("w"), Silent())


def test_soft_codes_of_a_codebook_under_autocast(debug_data, tmp_path) -> None:
    """A codebook is fp32, and the logits are bf16 where the processor has it."""
    tokenizer = TOKENIZER.read(SIZES | {"data": str(debug_data), "quantiser": "ema_vq", "codes": 64})
    TOKENIZER.run(tokenizer, tmp_path / "t", Silent())
    named = {"data": str(debug_data), "tokenizer": str(tmp_path / "t" / "output")}
    config = WORLD_MODEL.read(SIZES | PAINTER | named | {"soft": 1.0, "frames": 5, "burn_in": 2})
    WORLD_MODEL.run(config, tmp_path / "w", Silent())
