"""Liveness from the progress of loops, readiness from what the service needs."""

import pytest

from shared import health as health_module
from shared.health import Health


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(health_module, "time", clock)
    return clock


def test_a_loop_that_stops_turning_is_named(clock: _Clock) -> None:
    health = Health(stalled_after_s=120)
    health.beat("relay")
    health.beat("timers")
    clock.now += 100
    health.beat("timers")
    clock.now += 30
    assert health.stalled() == {"relay": "no progress for 130 s"}


async def test_a_halted_loop_is_alive_and_not_ready(clock: _Clock) -> None:
    health = Health(stalled_after_s=120)
    health.beat("consume.image-facts")
    health.halt("consume.image-facts", "offset outside the log")
    clock.now += 1000
    assert health.stalled() == {}
    assert await health.not_ready() == {"consume.image-facts": "offset outside the log"}


async def test_only_needs_that_are_not_met_are_told() -> None:
    async def met() -> str | None:
        return None

    async def unmet() -> str | None:
        return "database does not answer"

    health = Health(stalled_after_s=1, needs={"broker": met, "database": unmet})
    assert await health.not_ready() == {"database": "database does not answer"}
