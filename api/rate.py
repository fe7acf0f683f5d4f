"""How often somebody may do something."""

from __future__ import annotations


class Rate:
    """A bucket of so many tokens, which `over_s` seconds fill again."""

    def __init__(self, tokens: float, over_s: float = 1.0) -> None:
        self.most = self.tokens = float(tokens)
        self.per_s = tokens / over_s
        self.at = 0.0

    def allows(self, now: float) -> bool:
        self.tokens = min(self.most, self.tokens + (now - self.at) * self.per_s)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
