"""Liveness from the progress of loops; readiness from what the service needs to do its work."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.telemetry import metrics

Need = Callable[[], Awaitable[str | None]]
"""Returns None, or one sentence saying what is amiss."""


@dataclass(slots=True)
class Health:
    """What a service knows of its own state.

    Each loop calls `beat` once a turn, idle turns included; one that has not for `stalled_after_s` makes the service not alive.
    `needs` are asked on each readiness query: each returns None, or one sentence saying what is amiss.
    """

    stalled_after_s: float
    needs: dict[str, Need] = field(default_factory=dict)
    halted: dict[str, str] = field(default_factory=dict)
    _beats: dict[str, float] = field(default_factory=dict)

    def beat(self, loop: str) -> None:
        """Note that `loop` has just made a turn."""
        self._beats[loop] = time.monotonic()
        metrics.CONSUMER_PROGRESS_SECONDS.labels(loop).set_to_current_time()

    def halt(self, loop: str, reason: str) -> None:
        """Note that `loop` stopped on purpose and wants a person: the service is alive, and not ready."""
        self.halted[loop] = reason
        metrics.CONSUMER_HALTED.labels(loop).set(1)

    def stalled(self) -> dict[str, str]:
        """Return each loop that stopped turning, with how long ago it last did."""
        now = time.monotonic()
        return {
            loop: f"no progress for {now - beat:.0f} s"
            for loop, beat in self._beats.items()
            if now - beat > self.stalled_after_s and loop not in self.halted
        }

    async def not_ready(self) -> dict[str, str]:
        """Return everything that keeps the service from its work; empty when it is ready."""
        answers = {name: await need() for name, need in [*self.needs.items()]}
        return {name: answer for name, answer in answers.items() if answer is not None} | self.halted
