"""`terrarium eval`: what it refuses before it loads anything."""

import pytest
from typer.testing import CliRunner

from terrarium.cli.main import app


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--precision", "half"), "precision 'half': expected fp32 or bf16"),
        (("--episodes", "0"), "episodes 0: expected at least 1"),
        (("--seed", "-1"), "seed -1: expected 0 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(option, said):
    done = CliRunner().invoke(app, ["eval", "world-model", "shipped", *option])
    assert done.exit_code != 0 and said in f"{done.output}{done.exception}"
