import subprocess
import time
from types import SimpleNamespace

import pytest

from workers.freezer import Freezer
from worlds.world_model.frozen import package_name


@pytest.fixture
def ticker(tmp_path):
    """A ticker of a model whose folder is no checkpoint: the compiler starts, and fails as it would without g++."""
    folder = tmp_path / "nothing"
    model = SimpleNamespace(folder=folder, manifest={"sha256": "0"}, frozen=None)
    return SimpleNamespace(checkpoint="here", model=model, closed=False)


def finish(freezer: Freezer) -> None:
    freezer._thread.submit(lambda: None).result(timeout=120)
    freezer.close()


def test_what_does_not_compile_plays_on_with_one_line_in_the_log(ticker, tmp_path, caplog):
    freezer = Freezer(tmp_path / "cache")
    freezer.add(ticker)
    finish(freezer)
    assert ticker.model.frozen is None
    (line,) = [r.message for r in caplog.records if r.name == "terrarium.player"]
    assert line.startswith("model here plays uncompiled: ") and "nothing" in line
    assert not list((tmp_path / "cache").iterdir())


def test_closing_ends_the_compiler_and_says_nothing(ticker, tmp_path, caplog):
    freezer = Freezer(tmp_path / "cache")
    freezer.add(ticker)
    deadline = time.monotonic() + 30
    while freezer._compiler is None and time.monotonic() < deadline:
        time.sleep(0.05)
    compiler = freezer._compiler
    assert isinstance(compiler, subprocess.Popen)
    freezer.close()
    assert compiler.poll() is not None and not caplog.records


def test_an_unloaded_model_is_not_compiled(ticker, tmp_path):
    ticker.closed = True
    freezer = Freezer(tmp_path / "cache")
    freezer.add(ticker)
    finish(freezer)
    assert not (tmp_path / "cache").exists()


def test_on_a_gpu_nothing_is_compiled(ticker, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TERRARIUM_DEVICE", "cuda")
    freezer = Freezer(tmp_path / "cache")
    freezer.add(ticker)
    finish(freezer)
    assert not (tmp_path / "cache").exists() and not caplog.records


def test_a_damaged_package_plays_uncompiled(ticker, tmp_path, caplog):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / package_name(ticker.model.manifest)).write_bytes(b"no package")
    freezer = Freezer(cache)
    freezer.add(ticker)
    finish(freezer)
    assert ticker.model.frozen is None and "plays uncompiled" in caplog.text
