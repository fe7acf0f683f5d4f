"""docs/notebook.ipynb runs, and so does the README's Python. `python tests/door/test_notebook.py` renders it anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
MOST_BYTES = 300_000


def executed() -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=200, kernel_name="python3", record_timing=False, coalesce_streams=True)
    client.execute(cwd=str(DOCS))
    return notebook


def text_of(cells: Any) -> str:
    """What code cells have printed and shown as text."""
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)


def kinds_of_output(notebook: Any) -> list[list[str]]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [{mime for o in cell.outputs for mime in o.get("data", {o.output_type: 0})} for cell in cells]
    return [sorted(mimes - {"image/jpeg"}) for mimes in outputs]


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_and_shows_what_is_stored() -> None:
    stored, fresh = nbformat.read(NOTEBOOK, as_version=4), executed()
    assert kinds_of_output(stored) == kinds_of_output(fresh), "render it anew"
    assert "image/png" in str(kinds_of_output(fresh)) and "text/html" in str(kinds_of_output(fresh))
    assert "world-model.train" in text_of(fresh.cells)


def test_the_stored_notebook_is_small_and_names_no_machine() -> None:
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    said = text_of(nbformat.read(NOTEBOOK, as_version=4).cells)
    assert "/tmp" not in said and "/home" not in said and "Warning" not in said


def test_the_readmes_python_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) == 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "walk.gif").read_bytes().startswith(b"GIF8")


if __name__ == "__main__":
    rendered = executed()
    for output in (output for cell in rendered.cells for output in cell.get("outputs", ())):
        output.get("data", {}).pop("image/jpeg", None)  # beside a PNG of the same
    nbformat.write(rendered, NOTEBOOK)
