import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from processes import ROOT, until

from terrarium.store.places import shipped_folder
from terrarium.workers.freezer import Freezer
from terrarium.worlds.world_model.dynamics import Dynamics
from terrarium.worlds.world_model.forms import Form, write_gains
from terrarium.worlds.world_model.frozen import folder_name
from terrarium.worlds.world_model.kinds import WorldModelConfig
from terrarium.worlds.world_model.tokenizer import load_tokenizer
from terrarium.worlds.world_model.train import save_world_model


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
    assert not [file for file in (tmp_path / "cache").rglob("*") if not file.is_dir()]


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
    package = Form("fp32", 1).package(tmp_path / "cache" / folder_name(ticker.model.manifest))
    package.parent.mkdir(parents=True)
    package.write_bytes(b"no package")
    write_gains(package, {1: 2.0})
    freezer = Freezer(tmp_path / "cache")
    freezer.add(ticker)
    finish(freezer)
    assert ticker.model.frozen is None and "plays uncompiled" in caplog.text


PLAYER = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from terrarium.workers.freezer import Freezer
folder, cache = map(Path, sys.argv[1:])
manifest = json.loads((folder / "manifest.json").read_text())
model = SimpleNamespace(folder=folder, manifest=manifest, frozen=None)
Freezer(cache).add(SimpleNamespace(checkpoint="here", model=model, closed=False))
"""
# Knows its version, and is otherwise at work for a long time.
CXX = """#!/bin/sh
case "$*" in *version*) echo "g++ (GCC) 12.2.0" ;; *) sleep 600 ;; esac
"""


@pytest.fixture
def plain_model(tmp_path):
    """Untrained, of the shipped one's tokenizer, and with all parts left out that would have to be traced first."""
    tokenizer, manifest = load_tokenizer(shipped_folder())
    left_out = dict.fromkeys(("flow", "moving", "painter"), False) | {"margin": 0, "views": 0, "film": "uniform"}
    config = WorldModelConfig(data="-", channels=8, layers=1, **left_out)
    model = Dynamics(config, tokenizer, tuple(manifest["grid"]), len(manifest["data"]["action_names"]))
    save_world_model(tmp_path / "plain", model, manifest["data"])
    return tmp_path / "plain"


def test_a_killed_player_leaves_no_compiler_behind(plain_model, tmp_path):
    cxx = tmp_path / "c++"
    cxx.write_text(CXX)
    cxx.chmod(0o755)
    player = subprocess.Popen(
        [sys.executable, "-c", PLAYER, str(plain_model), str(tmp_path / "cache")],
        cwd=ROOT,
        env=os.environ | {"CXX": str(cxx), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")},
    )
    try:
        family = until(lambda: at_work(psutil.Process(player.pid).children(recursive=True)), 240, every_s=0.2)
    finally:
        player.send_signal(signal.SIGKILL)
        player.wait()
    until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family), 30)


def at_work(family: list[psutil.Process]) -> list[psutil.Process]:
    """All of them, once a C++ compiler is at work among them."""
    return family if any(p.name() == "sleep" for p in family) else []
