"""The recipes in two real processes, started by torchrun and joined by gloo."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_process import Log
from training_toys import painter_stages, run

from terrarium.worlds.world_model.kinds import tokenizer_debug, world_model_debug
from terrarium.worlds.world_model.train import train_world_model

TESTS = Path(__file__).resolve().parents[2]


def torchrun(script, *args):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run([*command, str(TESTS / script), *args], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]


def two_processes(config, out, stop_at=0):
    """-> what the progress of each was told."""
    file = out.with_suffix(".config.json")
    file.write_text(json.dumps(asdict(config)))
    torchrun("training_process.py", str(file), str(out), str(stop_at))
    ended = "stopped" if stop_at else "done"
    told = [json.loads(Path(f"{out}-{ended}-{rank}.json").read_text()) for rank in (0, 1)]
    assert not any(t["gloo"] for t in told)  # such a thread aborts the process at its end, one run in hundreds
    return told


def curve(told):
    return {int(step): loss for step, loss in told["curve"].items()}


def test_two_processes_repeat_the_run_of_one_and_go_on_after_a_stop(debug_data, debug_tokenizer, tmp_path, in_fp32):
    config = world_model_debug(str(debug_data), str(debug_tokenizer))
    one = Log()
    train_world_model(replace(config, accumulate=2), tmp_path / "one", one)
    first, beside = two_processes(config, tmp_path / "two", stop_at=4)
    second, _ = two_processes(config, tmp_path / "two")
    assert second["resumed"] == 4 and first["ended"] == beside["ended"] == "stopped"
    assert curve(first) | curve(second) == pytest.approx(one.told["curve"], rel=1e-4)
    a, b = (load_file(tmp_path / d / "output" / "model.safetensors") for d in ("one", "two"))
    assert all(a[k].sub(b[k]).abs().max() < 2e-3 for k in a)


@pytest.mark.parametrize("quantiser", ["ema_vq", "fsq"])
def test_the_first_process_alone_reports_and_writes(quantiser, debug_data, tmp_path):
    config = replace(tokenizer_debug(str(debug_data)), quantiser=quantiser, steps=3)
    first, second = two_processes(config, tmp_path / "out")
    assert len(first["curve"]) == 3 and first["states"] == [3] and first["previews"] == 1
    assert not second["curve"] and not second["states"] and not second["previews"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["output", "reconstruction.png", "state"]


def test_two_learners_repeat_the_run_of_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("TERRARIUM_PRECISION", "fp32")
    one, _ = run(painter_stages(with_pool=False), tmp_path / "one", accumulate=2)
    torchrun("training_toys.py", str(tmp_path / "two"))
    first, second = (load_file(tmp_path / "two" / f"painter-{rank}.safetensors") for rank in (0, 1))
    assert all(first[k].equal(second[k]) for k in first)
    assert all(first[k].sub(v).abs().max() < 1e-5 for k, v in one.state_dict().items())
    assert json.loads(max((tmp_path / "two" / "state").glob("*/manifest.json")).read_text())["history"][-1]["step"] == 9
