"""The rows of all rooms, and what derives from them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from terrarium.worlds.kinds import CONFIG, Input, JobKind, Slot, kinds


@pytest.mark.parametrize("name", kinds())
def test_a_row_is_whole(name: str) -> None:
    """A recipe that cannot be imported fails here, and not after the data was recorded."""
    row = kinds()[name]
    assert len(inspect.signature(row.load()).parameters) == 3
    assert {field.default for field in fields(row.config) if field.name == "kind"} == {name}
    for preset in row.presets.values():
        assert isinstance(preset(), row.config) and preset().kind == name
    assert all(slot.types for slot in row.inputs.values())


@pytest.mark.parametrize("name", [name for name, row in kinds().items() if row.http])
def test_a_draft_of_nothing_is_a_config(name: str) -> None:
    """By which the gateway finds the jobs that can take an asset."""
    assert kinds()[name].draft({}).kind == name


@pytest.mark.parametrize("name", kinds())
def test_every_field_has_a_help_text(name: str) -> None:
    schema = TypeAdapter(kinds()[name].config).json_schema()
    bare = [field for field, of in schema["properties"].items() if field != "kind" and "description" not in of]
    assert not bare and schema["description"]


@dataclass(frozen=True, kw_only=True)
class Mix:
    __pydantic_config__ = CONFIG
    kind: Literal["mix"] = "mix"
    data: Annotated[str, Input("dataset")]
    parts: tuple[Annotated[str, Input("tokenizer", "world-model")], ...] = ()
    start: Annotated[str, Input("world-model")] | None = None
    more: tuple[Annotated[str, Input("dataset")], ...] | None = None
    name: str = "-"


def test_inputs_are_found_by_annotation() -> None:
    row = JobKind(config=Mix, recipe="-", makes="mix", queue="cpu", title="Mix", presets={})
    assert row.inputs == {
        "data": Slot(("dataset",), many=False, optional=False),
        "parts": Slot(("tokenizer", "world-model"), many=True, optional=False),
        "start": Slot(("world-model",), many=False, optional=True),
        "more": Slot(("dataset",), many=True, optional=True),
    }
    config = row.read({"data": "a", "parts": ["b", "c"]})
    assert [slot.named(getattr(config, field)) for field, slot in row.inputs.items()] == [("a",), ("b", "c"), (), ()]
    with pytest.raises(ValidationError, match="at least 1 character"):
        row.read({"data": ""})
    with pytest.raises(ValidationError, match="at least 1 character"):
        row.read({"data": "a", "parts": ["b", ""]})
