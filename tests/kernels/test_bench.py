"""`python -m terrarium.kernels.bench`, the quick cases of one operator for real, and the table of what was kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "terrarium.kernels.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True)


@pytest.mark.timeout(900)  # compiles
def test_a_json_line_a_row_and_the_table_of_them(tmp_path: Path) -> None:
    done = bench("--op", "conv_gru", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    on_cpu = [row for row in rows if "threads" in row["device"]]
    assert [(row["dtype"], row["impl"]) for row in on_cpu] == [
        (dtype, impl) for dtype in ("float32", "bfloat16") for impl in ("eager", "compile")
    ]
    for row in rows:
        assert row["op"] == "conv_gru" and row["torch"] == torch.__version__ and row["commit"]
        assert row["shape"]["gx"] == [1, 384, 16, 16]
        assert 0 < row["p20_ms"] <= row["p50_ms"] <= row["p80_ms"] and row["runs"] >= 7
        moved = 8 * 128 * 256 * (4 if row["dtype"] == "float32" else 2)
        assert row["gb_s"] == pytest.approx(moved / row["p50_ms"] / 1e6)
        assert row["share_of_ceiling"] == pytest.approx(row["gb_s"] / row["ceiling_gb_s"])
    kept = tmp_path / "rows.jsonl"
    kept.write_text(done.stdout)
    lines = bench("--show", str(kept)).stdout.splitlines()
    assert sum(line.startswith("| conv_gru |") for line in lines) == len(rows)


def test_an_operator_that_is_not_there() -> None:
    done = bench("--op", "conv_lstm")
    assert done.returncode == 1
    assert "conv_lstm: no such operator; there are codes, conv_gru" in done.stderr
