"""The wheel, in an environment of its own beside somebody else's package `api`: one name is added, and it plays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKED = ("api", "cli", "kernels", "migrations", "store", "terrarium", "web", "workers", "worlds")


def run(*argv: str | Path, cwd: Path) -> str:
    """Without what leads Python or pip elsewhere. Its output, in the failure too."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(arg) for arg in argv], cwd=cwd, env=env, text=True, capture_output=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(scratch: Path) -> Path:
    """Of a copy, whose links are links as in the checkout: a build leaves folders behind."""
    source = scratch / "source"
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "src", "test")
    for name in PACKED:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    run(*pip, "-w", scratch, source, cwd=scratch)
    (wheel,) = scratch.glob("terrarium-*.whl")
    return wheel


def test_an_installed_wheel_adds_one_name_and_plays(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    home = tmp_path / "env"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "api").mkdir()
    (site / "api" / "__init__.py").write_text('OWNER = "somebody else"\n')
    # Dependencies are those installed here. The .pth files among them, such as an editable install's, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    before = {path.name for path in site.iterdir()}
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index"]
    run(*pip, "--no-compile", wheel, cwd=tmp_path)
    added = {path.name for path in site.iterdir()} - before
    assert {name for name in added if not name.endswith(".dist-info")} == {"terrarium"} and len(added) == 2
    code = (
        "import api, terrarium\n"
        "assert api.OWNER == 'somebody else'\n"
        "world = terrarium.load('shipped', seed=7)\n"
        "frames = world.play('w*2 left')\n"
        "world.save_gif('walk.gif')\n"
        "print(terrarium.__file__, terrarium.worlds.__file__, frames.shape)\n"
    )
    said = run(python, "-c", code, cwd=tmp_path)
    assert said == f"{site}/terrarium/__init__.py {site}/terrarium/worlds/__init__.py (3, 64, 64, 3)\n"
    assert (tmp_path / "walk.gif").read_bytes().startswith(b"GIF8")
    assert "dataset.record" in run(home / "bin" / "terrarium", "kinds", cwd=tmp_path)
    for part in ("web/dist/index.html", "migrations/env.py", "migrations/script.py.mako"):
        assert (site / "terrarium" / part).is_file(), part
