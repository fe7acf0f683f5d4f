from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    kind: str = "prior.train"
    channels: tuple[int, ...] = (64, 128)
    text: int = 128
    steps: int = 40_000
    batch: int = 16
    lr: float = 8e-4
    ema: float = 0.998
    seed: int = 0
    validate_every: int = 1000
    checkpoint_every_s: float = 240.0
    log_every: int = 50
