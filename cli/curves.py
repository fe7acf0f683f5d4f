"""Curves of a run as TensorBoard's event files (extra `tensorboard`, which is tensorboardX):

terrarium run material.train --preset debug --tensorboard out/curves
terrarium jobs curves 1f0c out/curves
tensorboard --logdir out/curves
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Curves:
    """An event file in `folder`. What was written past `resumed`, a step, is taken back."""

    def __init__(self, folder: Path, resumed: int | None = None) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ValueError("tensorboardX is not here: pip install 'terrarium[tensorboard]'") from None
        own = f".{time.time_ns()}"  # files of one second would have one name
        self.folder, self.writer = folder, SummaryWriter(str(folder), purge_step=resumed, filename_suffix=own)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        self.writer.close()
