"""Durable timers: rows that come due by the database's clock, in spite of restarts, and are done once."""

import json
from collections.abc import Mapping
from typing import Any, Final

from shared import faults
from shared.database.pool import Database
from shared.database.transaction import Timer, TimerOvertaken
from shared.messaging.handlers import TimerHandler
from shared.telemetry import metrics

_DUE_MAX: Final = 200


class Timers:
    """Works off the timers of one service."""

    def __init__(self, database: Database, service: str, handlers: Mapping[str, TimerHandler]) -> None:
        """Use `handlers` (timer kind → handler) in the database of `service`."""
        self._database = database
        self._service = service
        self._handlers = handlers

    async def turn(self) -> int:
        """Do every timer that is due; returns how many.

        One that fails stays, and the others are done first; then the first failure is raised.
        """
        rows = await self._database.pool.fetch(
            "SELECT kind, key, due_at, payload FROM timers WHERE due_at <= now() AND kind = ANY($1::text[]) "
            "ORDER BY due_at LIMIT $2",
            sorted(self._handlers),
            _DUE_MAX,
        )
        done, failure = 0, None
        for row in rows:
            try:
                done += await self._do(row)
            except Exception as error:  # noqa: BLE001 - one timer that fails must not hold up the others
                failure = failure or error
        if failure is not None:
            raise failure
        return done

    async def _do(self, row: Any) -> bool:  # noqa: ANN401 - asyncpg.Record is untyped
        timer = Timer(row["kind"], row["key"], row["due_at"], json.loads(row["payload"]))
        try:
            async with self._database.transaction() as tx:
                # The handler locks its aggregate first, as every handler does, and only then is the timer taken: in the other
                # order it would meet a handler that cancels this timer crosswise.
                tx.due = timer
                await self._handlers[timer.kind](tx, timer)
                await tx.take_due_timer()
                await faults.reach(f"{self._service}.timer.before_commit")
        except TimerOvertaken:
            return False
        await faults.reach(f"{self._service}.timer.after_commit")
        metrics.TIMERS_DONE.labels(timer.kind).inc()
        return True
