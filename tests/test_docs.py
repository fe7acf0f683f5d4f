"""The pages in docs/ are complete where code can be asked: variables, error codes, presets, links."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrarium.api.app import app
from terrarium.player import Player
from terrarium.store.settings import Settings
from terrarium.worlds.kinds import kinds

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGES = ("api", "cli", "kernels", "migrations", "store", "workers", "worlds")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def source() -> dict[Path, str]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path: path.read_text() for path in (*files, *sorted((ROOT / "terrarium").glob("*.py")))}


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


def codes_of(tree: ast.AST) -> Iterator[str]:
    """Every stable error code that a module gives out, by each way of writing one."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                yield code
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(code)), *_]):
                if name in ("Refused", "Ended", "RecipeError", "fail"):
                    yield code
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                codes = (v.value for k, v in pairs if is_str(k, "code") and isinstance(v, ast.Constant))
                yield from (code for code in codes if isinstance(code, str))
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
                yield code
            case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id="code"), _])], value=ast.Tuple(elts=[value, _])):
                yield ast.literal_eval(value)
            case ast.Assign(targets=[ast.Name(id="CODES")], value=ast.Dict(values=values)):
                yield from map(ast.literal_eval, values)
            case ast.FunctionDef(name="name_error"):
                returned = (n.value for n in ast.walk(node) if isinstance(n, ast.Return))
                yield from (r.elts[0].value for r in returned if is_tuple_of_str(r))


def is_str(node: ast.AST | None, value: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def is_tuple_of_str(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Tuple) and isinstance(node.elts[0], ast.Constant)


def test_every_error_code_is_explained_and_no_other() -> None:
    code_of = {path: set(codes_of(ast.parse(text))) for path, text in source().items() if path.parts[-2] != "cli"}
    raised = {code for codes in code_of.values() for code in codes}
    assert {"nan_loss", "hung", "input_misfit", "player_full", "out_of_memory", "not_found"} <= raised
    page = (DOCS / "troubleshooting.md").read_text()
    tables = page[page.index("## Errors of jobs") :]
    cells = re.findall(r"^\| (`.*?`) \|", tables, re.MULTILINE)
    explained = {code for cell in cells for code in re.findall(r"`([a-z_]+)`", cell)}
    assert explained == raised


def test_every_request_of_the_rest_page_exists() -> None:
    """Method and path of each `curl` against the gateway's own description."""
    page = (DOCS / "rest.md").read_text().replace("\\\n", " ")
    known = [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]
    requests = [line.partition(" # ")[0] for line in re.findall(r"curl (.*)", page)]
    assert len(requests) > 20
    for options in requests:
        path = re.findall(r"(?:\$T|http://127.0.0.1:8420)([\w/$.-]*)", options)[0]
        method = re.findall(r"-X (\w+)", options) or (["POST"] if re.search("-d '|--data", options) else ["GET"])
        concrete = path if path.startswith(("/health", "/metrics")) else f"/v1{path}"
        shape = re.sub(r"\$\w+", "an-id", concrete)
        fits = [p for m, p in known if m == method[0] and re.fullmatch(re.sub(r"{\w+}", "[^/]+", p), shape)]
        assert fits, f"{method[0]} {concrete}"


def test_every_preset_of_a_training_is_described() -> None:
    described = re.findall(r"^\| `(\w+)`.*?\| (.*?) \|", (DOCS / "training.md").read_text(), re.MULTILINE)
    for kind in ("tokenizer.train", "world-model.train"):
        for preset in kinds()[kind].presets:
            assert preset in {name for name, _ in described}, f"{kind} {preset}"
    assert {name for name, _ in described} <= {p for row in kinds().values() for p in row.presets}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that a link names, as GitHub spells them."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if heading:
            lines = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
            assert heading in anchors, f"{link}: none of {sorted(anchors)}"


def test_every_function_of_the_door_is_described() -> None:
    import terrarium

    page = (DOCS / "python.md").read_text()
    methods = (
        name for of in (terrarium.Client, Player, terrarium.Film) for name in vars(of) if not name.startswith("_")
    )
    for name in (*terrarium.__all__, *methods):
        assert re.search(rf"`{name}\b", page), name
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        compile(block, "python.md", "exec")
