"""The pages in docs/ are complete where code can be asked: variables, error codes, presets, links."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from store.settings import Settings
from worlds.kinds import kinds

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGES = ("api", "cli", "kernels", "migrations", "store", "workers", "worlds")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def source() -> dict[Path, str]:
    return {path: path.read_text() for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def rows(page: str) -> dict[str, list[str]]:
    """{first cell, without backticks: the other cells} of every table row of a page in docs/ that begins with code."""
    lines = re.findall(r"^\| `([^`]+)` \|(.*)\|$", (DOCS / page).read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in lines}


def test_every_variable_has_its_row_and_no_other() -> None:
    deployment = [ROOT / "docker-compose.yml", ROOT / ".env.example"]
    text = "\n".join([*source().values(), *(path.read_text() for path in deployment)])
    named = set(re.findall(r"\bTERRARIUM_[A-Z_]*[A-Z]\b", text))
    fields = {f"TERRARIUM_{name.upper()}" for name in Settings.model_fields}
    assert set(rows("settings.md")) == named | fields


def test_variables_have_the_defaults_that_the_page_says() -> None:
    def shown(default: Any) -> str:
        if default in ("", None):
            return ""
        return f"`{json.dumps(default) if isinstance(default, list) else default}`"

    page = rows("settings.md")
    for name, field in Settings.model_fields.items():
        assert page[f"TERRARIUM_{name.upper()}"][0] == shown(field.default), name
