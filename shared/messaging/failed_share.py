"""A limit on failures of our own: a bad release must not turn its input into dead letters."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_RECENT_MAX: Final = 1000
_FAILED_MIN: Final = 20


class Halted(Exception):
    """Stopped on purpose: too large a share of recent records failed by our own fault."""


@dataclass(slots=True)
class FailedShare:
    """How many of the recent records of `what` failed by our own fault; `share_max` of them may, and a few at any rate."""

    what: str
    share_max: float = 0.1
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_RECENT_MAX))

    def failed(self) -> None:
        """Count one that is about to become a dead letter; raises `Halted` if it must not, as there are too many."""
        failed = sum(self._recent) + 1
        if failed >= _FAILED_MIN and failed > self.share_max * max(len(self._recent), _FAILED_MIN):
            message = (
                f"{failed} of the last {max(len(self._recent), failed)} {self.what} failed by our own fault; "
                "nothing more is taken, rather than turned into dead letters. Mend or roll back the release, then restart."
            )
            raise Halted(message)
        self._recent.append(True)

    def succeeded(self, count: int = 1) -> None:
        """Count `count` that were applied."""
        self._recent.extend([False] * min(count, _RECENT_MAX))
