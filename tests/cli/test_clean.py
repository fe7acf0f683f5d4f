"""`terrarium clean`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from terrarium.cli.main import app
from terrarium.store.settings import settings


def clean(*argv: object) -> Any:
    return CliRunner().invoke(app, ["clean", *map(str, argv)])


def test_a_dry_run_lists_and_the_next_removes(db: Session, data_dir: Path) -> None:
    left = data_dir / "runs" / ".gone-1"
    left.mkdir(parents=True)
    (left / "weights").write_bytes(bytes(8192))
    listed = clean("--data-dir", data_dir, "--dry-run")
    assert listed.exit_code == 0 and "runs/.gone-1" in listed.stdout and "would go" in listed.stdout, listed.output
    assert left.is_dir()
    found = json.loads(clean("--data-dir", data_dir, "--json").stdout)
    assert found["removed"] and found["bytes"] >= 8192 and not left.exists()
    assert found["things"]["run folders"]["files"].keys() == {"runs/.gone-1"}
    assert json.loads(clean("--data-dir", data_dir, "--json", "--dry-run").stdout)["bytes"] == 0


def test_without_a_server_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "database_url", "")
    refused = clean("--data-dir", tmp_path)
    assert refused.exit_code == 1 and "start `terrarium up` there, or set DATABASE_URL" in refused.stderr
