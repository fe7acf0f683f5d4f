"""`terrarium bench render` prints a JSON line a row, and names what it cannot use."""

import json

import pytest
from typer.testing import CliRunner

from terrarium.cli.bench_render import sizes
from terrarium.cli.main import app


def test_a_json_line_a_row():
    command = ["bench", "render", "--grids", "5", "--pictures", "6,8", "--rounds", "1", "--threads", "1", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["picture"] for row in rows} == {6, 8}
    assert {"reference", "cpu"} <= {row["backend"] for row in rows}
    for row in rows:
        assert {"grid", "threads", "forward_ms", "backward_ms", "times_reference", "device", "commit"} <= set(row)


@pytest.mark.parametrize("text", ["", "12,", "a", "0", "-3", "1025", "8.5"])
def test_sizes_are_whole_numbers(text):
    with pytest.raises(ValueError, match=r"--grids .*: expected whole numbers from 1 to 1024"):
        sizes(text, "--grids")


def test_too_many_threads():
    result = CliRunner().invoke(app, ["bench", "render", "--threads", "4096"])
    assert result.exit_code == 2 and "--threads 4096: expected at most" in result.stderr
