"""`terrarium assets`, and short ids, against a real gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import gateway_thread
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from terrarium.cli.main import app
from terrarium.store.places import place
from terrarium.store.tables import Asset

IDS = ("1f0c2a3b-0000-4000-8000-000000000000", "1f0c9999-0000-4000-8000-000000000000")
EYE = "77770000-0000-4000-8000-000000000000"


@pytest.fixture
def terrarium(db: Session, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The command line; its server has two datasets and a tokenizer made of the first."""
    manifest = {"frame_size": [64, 64], "action_names": ["a"], "source": {"kind": "blocks"}}
    for id in IDS:
        db.add(Asset(id=id, type="dataset", name=f"walks {id[:8]}", manifest=manifest))
        place("dataset", id).mkdir(parents=True)
    db.add(Asset(id=EYE, type="tokenizer", name="eye", manifest={}, made_from=[IDS[0]], tags=["keep"]))
    db.commit()
    monkeypatch.setenv("COLUMNS", "200")
    with gateway_thread() as url:
        monkeypatch.setenv("TERRARIUM_URL", url)
        yield lambda *argv: CliRunner().invoke(app, list(argv))


def test_assets_are_listed_shown_renamed_and_deleted(terrarium: Any, db: Session) -> None:
    assert "1f0c2a3b  dataset" in terrarium("assets", "list").stdout
    listed = json.loads(terrarium("assets", "list", "--type", "dataset", "--json").stdout)
    assert {asset["id"] for asset in listed} == set(IDS)
    assert json.loads(terrarium("assets", "list", "--tag", "keep", "--json").stdout)[0]["id"] == EYE
    shown = json.loads(terrarium("assets", "show", "1F0C2A3B").stdout)
    assert shown["id"] == IDS[0] and [asset["id"] for asset in shown["made_of_it"]] == [EYE]
    assert json.loads(terrarium("assets", "show", "shipped").stdout)["id"] == "shipped"
    assert terrarium("assets", "rename", "1f0c2", "Night [walks]").stdout == "Night [walks]\n"
    assert "Night [walks]" in terrarium("assets", "list").stdout
    deleted = terrarium("assets", "rm", "7777")
    assert deleted.stdout == f"deleted tokenizer {EYE}\n", deleted.output
    db.rollback()
    assert db.get_one(Asset, EYE, populate_existing=True).deleted_at is not None


def test_an_id_that_means_several_names_them_all(terrarium: Any) -> None:
    failed = terrarium("assets", "rm", "1f0c")
    assert failed.exit_code == 2
    for id in IDS:
        assert f"{id} (dataset walks {id[:8]})" in failed.stderr
    assert len(json.loads(terrarium("assets", "list", "--type", "dataset", "--json").stdout)) == 2
    assert "no asset whose id begins with 'abcd'" in terrarium("assets", "show", "abcd").stderr
    unknown = terrarium("assets", "list", "--type", "spaceship")
    assert unknown.exit_code == 2 and "spaceship" not in unknown.stdout and "dataset" in unknown.stderr


def test_a_job_takes_short_ids_and_keeps_what_it_needs(terrarium: Any) -> None:
    done = terrarium("jobs", "submit", "tokenizer.train", "--set", "data=1f0c2")
    assert done.exit_code == 0, done.output
    (job,) = json.loads(terrarium("jobs", "list", "--json").stdout)
    assert job["config"]["data"] == IDS[0]
    refused = terrarium("assets", "rm", "1f0c2a3b")
    assert refused.exit_code == 2 and "is needed by job" in refused.stderr
    wrong = terrarium("jobs", "submit", "tokenizer.train", "--set", "data=7777")
    assert wrong.exit_code == 2 and "no dataset whose id begins with '7777'" in wrong.stderr


def test_kinds_are_listed_as_json() -> None:
    listed = json.loads(CliRunner().invoke(app, ["kinds", "--json"]).stdout)
    assert listed["tokenizer.train"]["makes"] == "tokenizer"
    one = json.loads(CliRunner().invoke(app, ["kinds", "dataset.record", "--json"]).stdout)
    assert one["dataset.record"]["schema"]["properties"]["steps"]["maximum"] == 10_000
