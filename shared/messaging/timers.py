"""Durable timers: rows that come due by the database's clock, in spite of restarts, and are done once."""

import json
from collections.abc import Mapping
from typing import Any, Final

from shared import faults
from shared.database.pool import Database
from shared.database.transaction import Timer
from shared.messaging.handlers import TimerHandler
from shared.telemetry import metrics

_DUE_MAX: Final = 200


class _Overtaken(Exception):
    """The timer was cancelled, moved or done while its handler ran; its transaction must leave nothing."""


class Timers:
    """Works off the timers of one service."""

    def __init__(self, database: Database, service: str, handlers: Mapping[str, TimerHandler]) -> None:
        """Use `handlers` (timer kind → handler) in the database of `service`."""
        self._database = database
        self._service = service
        self._handlers = handlers

    async def turn(self) -> int:
        """Do every timer that is due; returns how many. Raises what the database or a handler raises."""
        rows = await self._database.pool.fetch(
            "SELECT kind, key, due_at, payload FROM timers WHERE due_at <= now() AND kind = ANY($1::text[]) "
            "ORDER BY due_at LIMIT $2",
            sorted(self._handlers),
            _DUE_MAX,
        )
        done = 0
        for row in rows:
            done += await self._do(row)
        return done

    async def _do(self, row: Any) -> bool:  # noqa: ANN401 - asyncpg.Record is untyped
        timer = Timer(row["kind"], row["key"], row["due_at"], json.loads(row["payload"]))
        try:
            async with self._database.transaction() as tx:
                # The handler locks its aggregate first, as every handler does, and only then is the timer taken: in the other order
                # it would meet a handler that cancels this timer crosswise.
                await self._handlers[timer.kind](tx, timer)
                tag = await tx.connection.execute(
                    "DELETE FROM timers WHERE kind = $1 AND key = $2 AND due_at = $3", timer.kind, timer.key, timer.due_at
                )
                if tag != "DELETE 1":
                    raise _Overtaken
                await faults.reach(f"{self._service}.timer.before_commit")
        except _Overtaken:
            return False
        await faults.reach(f"{self._service}.timer.after_commit")
        metrics.TIMERS_DONE.labels(timer.kind).inc()
        return True
