"""Compiles the step of the models in play, one form after the other, in processes that give way to everybody else.

Play starts eager and goes over to each form (worlds/world_model/forms.py) when it is there and was measured to be
faster: at once where an earlier run left it in the cache.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.workers.ticker import Ticker
from terrarium.worlds.durable import sync

if TYPE_CHECKING:
    from terrarium.worlds.world_model.forms import Form

log = logging.getLogger("terrarium.player")
KEPT = 8  # models in the cache, some tens of megabytes each
TIMEOUT_S = 1800.0
DRAFT = ".draft-"  # begins the name of a folder in which something is being compiled


class Freezer:
    """`cache` is the folder of compiled steps. Whoever may write there decides what the player runs."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache.absolute()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="freezer")
        self._lock = threading.Lock()
        self._compiler: subprocess.Popen[str] | None = None
        self._closed = False

    def add(self, ticker: Ticker) -> None:
        """Give this ticker's model its compiled step when it is ready; from the event loop."""
        if not self._closed:
            self._thread.submit(self._freeze, ticker)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._kill()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _freeze(self, ticker: Ticker) -> None:
        from terrarium.worlds.device import default_device
        from terrarium.worlds.precision import cpu_has_bf16, play_precisions, precision_asked
        from terrarium.worlds.world_model.forms import next_form
        from terrarium.worlds.world_model.frozen import FrozenStep, folder_name

        if ticker.closed or self._closed:
            return
        if default_device().type != "cpu":
            log.info("model %s: nothing is compiled on %s", ticker.checkpoint, default_device())
            return
        try:
            precisions = play_precisions(precision_asked(), cpu_has_bf16())
            folder, began = self.cache / folder_name(ticker.model.manifest), time.monotonic()
            frozen = FrozenStep(folder)
            while form := next_form(precisions, frozen.gains):
                if not form.package(folder).exists():
                    self._compile(ticker.model.folder, form, folder)
                frozen.add(form)
                ticker.model.frozen = frozen
            took = time.monotonic() - began
            log.info("model %s: compiled after %.0f s; players: %s", ticker.checkpoint, took, frozen)
        except Exception as e:
            if not self._closed:
                without = "without its other compiled steps" if ticker.model.frozen else "uncompiled"
                log.warning("model %s plays %s: %s", ticker.checkpoint, without, e)

    def _compile(self, model: Path, form: Form, folder: Path) -> None:
        """Into `folder`, the package last: where it is, all of it is."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in self.cache.glob(f"{DRAFT}*"):
            if time.time() - draft.stat().st_mtime > TIMEOUT_S:  # of a player that was killed
                shutil.rmtree(draft, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=self.cache, ignore_cleanup_errors=True) as scratch:
            made = form.package(Path(scratch))
            frozen = [sys.executable, "-m", "terrarium.worlds.world_model.frozen"]
            self._run([*frozen, str(model.absolute()), str(form), str(made), "--leash"], Path(scratch))
            for file in (made.with_suffix(".json"), made):
                sync(file)
                file.replace(folder / file.name)
            sync(folder)
        kept = [path for path in self.cache.iterdir() if not path.name.startswith(DRAFT)]
        for old in sorted(kept, key=os.path.getmtime)[:-KEPT]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()

    def _run(self, command: list[str], scratch: Path) -> None:
        """The command leads a process group, and its stdin ends with this process, however that ends. What compilers
        leave behind when they are killed lies in `scratch`."""
        end, leash = os.pipe()
        try:
            with self._lock:
                if self._closed:
                    raise RuntimeError("the player is closing")
                self._compiler = subprocess.Popen(
                    command,
                    stdin=end,
                    env=os.environ | {"TMPDIR": str(scratch)},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            _, errors = self._compiler.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            raise
        finally:
            os.close(end)
            os.close(leash)
        if self._compiler.returncode:
            raise RuntimeError((errors.strip().splitlines() or ["the compiler ended without a word"])[-1])

    def _kill(self) -> None:
        """The compiler with the compilers that it started."""
        if self._compiler and self._compiler.returncode is None:  # else the number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._compiler.pid, signal.SIGKILL)
