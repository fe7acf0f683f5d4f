"""Block sizes that were swept on a GPU: a name -> its numbers, for each architecture.

`python tests/kernels/gpu/sweep.py` writes block_sizes.json, such as {"sm_90": {"vq": {"BLOCK_N": 128}}}. What is not in
it keeps the operator's own numbers. They are the same in every launch, as a CUDA graph needs them.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import torch

FILE = Path(__file__).with_suffix(".json")
Sizes = dict[str, int]


def _read() -> dict[str, dict[str, Sizes]]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


swept = _read()


def block_sizes(name: str, own: Sizes, device: torch.device) -> Sizes:
    """`own`, or what was swept for the architecture of `device`."""
    return own | swept.get(architecture(device), {}).get(name, {})


@functools.cache
def architecture(device: torch.device) -> str:
    """`sm_90`; `interpreter` where that is not a GPU."""
    if device.type != "cuda":
        return "interpreter"
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"
