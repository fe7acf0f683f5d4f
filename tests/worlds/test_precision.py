"""The switch, and what refuses it (what must not be rounded: tests/worlds/world_model/test_precision.py)."""

import pytest
import torch

from terrarium.worlds import precision
from terrarium.worlds.pictures.perceptual import LPIPS
from terrarium.worlds.precision import SWITCH, computing_in, in_full, precision_now, training_precision, wide
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.tokenizer import Tokenizer

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "with_unit", "without"),
    [("", "bf16", "fp32"), ("auto", "bf16", "fp32"), ("fp32", "fp32", "fp32"), ("bf16", "bf16", "bf16")],
)
def test_training_computes_in_what_was_asked_for_or_pays(asked, with_unit, without, monkeypatch):
    monkeypatch.setenv(SWITCH, asked)
    for unit, expected in ((True, with_unit), (False, without)):
        monkeypatch.setattr(precision, "cpu_has_bf16", lambda unit=unit: unit)
        assert training_precision(CPU) == expected


def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv(SWITCH, "half")
    with pytest.raises(ValueError, match="TERRARIUM_PRECISION is 'half'; expected auto, fp32 or bf16"):
        training_precision(CPU)
    with pytest.raises(ValueError, match="precision 'half': expected fp32 or bf16"):
        computing_in("half", CPU)


def test_parts_are_computed_in_full_inside_bf16():
    a = torch.randn(4, 4)
    with computing_in("bf16", CPU):
        assert precision_now(CPU) == "bf16" and (a @ a).dtype == torch.bfloat16
        with in_full(a):
            assert precision_now(CPU) == "fp32" and torch.equal(a @ a, torch.mm(a, a))
        assert precision_now(CPU) == "bf16"
    with computing_in("fp32", CPU):
        assert precision_now(CPU) == "fp32"


def test_half_is_widened_and_double_is_kept():
    kinds = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
    widened = [wide(torch.ones(1, dtype=kind)).dtype for kind in kinds]
    assert widened == [torch.float32, torch.float32, torch.float32, torch.float64]


@pytest.mark.parametrize("name", ["Dynamics", "Tokenizer", "LPIPS"])
def test_weights_in_half_are_refused(name):
    tokenizer = Tokenizer(tokenizer_debug())
    made = {"Dynamics": Dynamics(world_model_debug(), tokenizer, (8, 8), 9), "Tokenizer": tokenizer}
    model = made.get(name) or LPIPS("random")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for convert in (model.bfloat16, model.half, lambda: model.to(torch.bfloat16), lambda: model.to("cpu", torch.half)):
        with pytest.raises(ValueError, match=rf"{name} in torch\.\w*float16: its weights stay in torch.float32"):
            convert()
    assert all(v.equal(before[k]) for k, v in model.state_dict().items())
    model.double().float().to(memory_format=torch.channels_last)
