"""What a JSONB column takes."""

from __future__ import annotations

import math
from typing import Any


def clean(value: Any) -> Any:
    """What JSONB takes: no NaN or infinity (None instead), no NUL in texts."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v) for v in value]
    return value
