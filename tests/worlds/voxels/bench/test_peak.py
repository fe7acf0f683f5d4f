"""The peak of a call counts what it frees before it ends."""

import sys

import numpy as np
import pytest

from terrarium.worlds.voxels.bench import peak


@pytest.mark.skipif(sys.platform != "linux", reason="counts are read from /proc")
def test_what_is_freed_within_the_call_counts():
    def call():
        for _ in range(2):
            np.ones(40_000_000, np.uint8)

    assert 39 < peak.peak_mb(call) < 60


def test_a_system_that_does_not_count(monkeypatch, tmp_path):
    monkeypatch.setattr(peak, "PROCESS", tmp_path / "nowhere")
    assert peak.peak_mb(lambda: None) is None
