"""A recipe in a process of its own, and what its progress was told; torchrun may start several of it.

torchrun --nproc-per-node 2 training_process.py CONFIG.json OUT STOP_AT     (STOP_AT 0: to the end)

KILL_AT in the environment: dies by SIGKILL after that step, before its state is saved.
"""

import atexit
import json
import os
import signal
import sys
from pathlib import Path

import torch

from terrarium.worlds.kinds import kinds
from terrarium.worlds.progress import Silent, Stopped


class Log(Silent):
    def __init__(self, stop_at=0):
        self.stop_at, self.told = stop_at, {"at": 0, "curve": {}, "previews": 0, "states": [], "resumed": None}

    def step(self, step, total, phase=""):
        self.told["at"] = step
        if step == int(os.environ.get("KILL_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)

    def metrics(self, step, values):
        if "loss" in values:
            self.told["curve"][step] = values["loss"]

    def preview(self, name, path):
        self.told["previews"] += 1

    def file(self, path, caption="", role="result"): ...

    def checkpoint(self, step, path):
        self.told["states"].append(step)

    def resumed(self, step):
        self.told["resumed"] = step

    def stop_requested(self):
        return self.stop_at > 0 and self.told["at"] == self.stop_at


def main(config_file, out, stop_at):
    torch.set_num_threads(1)
    values = json.loads(Path(config_file).read_text())
    log = Log(int(stop_at))
    atexit.register(tell, log.told, out)  # first registered, so run last: training has cleaned up by then
    log.told["ended"] = "failed"
    try:
        kind = kinds()[values["kind"]]
        kind.run(kind.read(values), Path(out), log)
        log.told["ended"] = "done"
    except Stopped:
        log.told["ended"] = "stopped"


def tell(told, out):
    file = Path(f"{out}-{told['ended']}-{os.environ['RANK']}.json")
    threads = [comm.read_text().strip() for comm in Path("/proc/self/task").glob("*/comm")]
    file.write_text(json.dumps(told | {"gloo": [name for name in threads if "gloo" in name]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
