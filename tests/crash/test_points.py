"""kill -9 at every named point: of the service that reaches it, of the broker, of the database."""

from itertools import zip_longest
from typing import Final

import pytest

from shared.faults import POINTS
from tests.crash.conftest import Stage
from tests.crash.world import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUNDS: Final = [
    [point for point in points if point is not None]
    for points in zip_longest(*([f"{service}.{point}" for point in points] for service, points in POINTS.items()))
]
"""Each point once; in a round at most one of each service."""
HIT_TIMEOUT_S: Final = 60.0


@pytest.mark.parametrize("victim", ["self", "kafka", "postgres"])
@pytest.mark.parametrize("number", range(len(ROUNDS)))
async def test_killed_at_a_point(stage: Stage, victim: str, number: int) -> None:
    for point in ROUNDS[number]:
        stage.world.arm(point, victim)
    await stage.traffic.everything(f"{victim}-{number}")
    for point in ROUNDS[number]:
        await until(lambda point=point: stage.world.hit(point), True, HIT_TIMEOUT_S, f"{point} is reached")
    stage.journal.assert_orderly()
