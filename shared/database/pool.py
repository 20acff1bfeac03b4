"""A service's database: the pool, and the one way to open a transaction."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from shared.database.transaction import Transaction

_NOT_YET: Final = datetime.max.replace(tzinfo=UTC)


class Database:
    """The connections of one service to its own database.

    `on_outbox` is called after each commit that put events into the outbox (it wakes the relay). Not safe across event loops.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", *, source: str, topic_prefix: str) -> None:
        """Use `pool`; `source` is the CloudEvents source of what is emitted, `topic_prefix` goes before topic names."""
        self.pool = pool
        self.source = source
        self.topic_prefix = topic_prefix
        self.on_outbox: Callable[[], None] = lambda: None

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        service: str,
        topic_prefix: str = "imagecommons.",
        connections_max: int = 10,
        statement_timeout_s: float = 60.0,
    ) -> "Database":
        """Open the pool of `service`.

        Raises what asyncpg raises when the server is away or refuses: `OSError`, `asyncpg.PostgresError`.
        """
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=connections_max,
            command_timeout=statement_timeout_s,
            timeout=10,
            # Every use is one transaction that leaves nothing behind in the session: asyncpg's own reset would cost each of them
            # a round trip.
            reset=_leave_as_it_is,
            server_settings={
                "application_name": f"image-commons-{service}",
                "idle_in_transaction_session_timeout": "120000",
                # The plans of the few statements here never gain from compilation, which costs milliseconds each.
                "jit": "off",
                # Nor from being planned anew for each value: they are written for one plan, and planning costs more than a small
                # batch's rows.
                "plan_cache_mode": "force_generic_plan",
            },
        )
        return cls(pool, source=f"/image-commons/{service}", topic_prefix=topic_prefix)

    @asynccontextmanager
    async def transaction(self, *, asks_time: bool = True) -> AsyncIterator[Transaction]:
        """Open a transaction; on leaving the block its events go to the outbox and it commits.

        An exception rolls everything back and is passed on. READ COMMITTED: handlers lock the rows they decide on. With
        `asks_time` false the first statement of the block must set `now` itself, which saves a round trip.
        """
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                now = await connection.fetchval("SELECT transaction_timestamp()") if asks_time else _NOT_YET
                tx = Transaction(connection, now=now, source=self.source, topic_prefix=self.topic_prefix)
                yield tx
                emitted = await tx.flush()
            if emitted:
                self.on_outbox()
            for wake in tx.after_commit:
                wake()

    async def probe_write(self) -> None:
        """Commit one small write; raises what asyncpg raises if the database takes none."""
        await self.pool.execute(
            "INSERT INTO write_probe (probed_at) VALUES (clock_timestamp()) "
            "ON CONFLICT (id) DO UPDATE SET probed_at = excluded.probed_at"
        )

    async def close(self) -> None:
        """Close the pool, waiting for borrowed connections."""
        await self.pool.close()


async def _leave_as_it_is(_connection: "asyncpg.Connection[Any]") -> None:
    pass
