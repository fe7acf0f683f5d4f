"""Tests of the Triton programs themselves, on CPU tensors in Triton's interpreter.

The interpreter is chosen where a program is defined, so these run in a process of their own with TRITON_INTERPRET=1;
`tests/kernels/test_interpreter.py` starts it, and so does

    TRITON_INTERPRET=1 python -m pytest tests/kernels/interpreted
"""

import os
from collections.abc import Iterator

import pytest
import torch

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]


@pytest.fixture(autouse=True)
def uninitialised_memory_is_nan() -> Iterator[None]:
    """Deterministic mode fills what torch.empty returns with NaN, so a value that nobody wrote shows."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def nothing_is_compiled_from_a_cache() -> Iterator[None]:
    """It goes by the forward operators, and would call a backward with the arguments that it had once."""
    with torch.compiler.config.patch(force_disable_caches=True):
        yield
