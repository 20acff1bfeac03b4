"""kill -9 at every named point: of the service that reaches it, of the broker, of the database."""

from itertools import chain, zip_longest
from typing import Final

import pytest

from shared.faults import POINTS
from tests.crash.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETS: Final = [
    [point for point in points if point is not None]
    for points in zip_longest(*([f"{service}.{point}" for point in points] for service, points in POINTS.items()))
]
"""Every point once; in a set at most one of each service."""
HALF: Final = len(SETS) // 2
HIT_TIMEOUT_S: Final = 30.0
TURNS_MAX: Final = 3


async def _through(stage: Stage, name: str, victims: dict[str, list[str]]) -> None:
    """Do everything with each point of `victims` armed against its victim; every one has to be hit.

    A point behind a commit is passed over where the database dies in it: whether it committed, its client does not learn. Then
    everything is done again.
    """
    for victim, points in victims.items():
        for point in points:
            stage.world.arm(point, victim)
    missing = list(chain.from_iterable(victims.values()))
    for turn in range(TURNS_MAX):
        await stage.traffic.everything(f"{name}-{turn}")
        missing = await stage.world.not_hit(missing, HIT_TIMEOUT_S)
        if not missing:
            break
    assert missing == [], "points that were not reached"
    stage.journal.assert_orderly()


@pytest.mark.parametrize("number", range(HALF))
async def test_services_die_at_their_points(stage: Stage, number: int) -> None:
    await _through(stage, f"self-{number}", {"self": SETS[number] + SETS[number + HALF]})


@pytest.mark.parametrize("number", range(len(SETS)))
async def test_broker_and_database_die_at_points(stage: Stage, number: int) -> None:
    await _through(stage, f"servers-{number}", {"kafka": SETS[number], "postgres": SETS[(number + HALF) % len(SETS)]})


async def test_sets_hold_every_point_once() -> None:
    assert len(SETS) == 2 * HALF
    assert sorted(chain.from_iterable(SETS)) == sorted(
        f"{service}.{point}" for service, points in POINTS.items() for point in points
    )
