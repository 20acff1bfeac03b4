"""The inbox keeps what it needs, and no more."""

from shared.database.pool import Database
from shared.messaging.retention import sweep_inbox


async def test_all_that_is_past_its_time_goes_and_nothing_else(database: Database) -> None:
    await database.pool.execute(
        "INSERT INTO inbox (identity, content, status, received_at) "
        "SELECT decode(md5(age || ' ' || status || ' ' || number), 'hex'), 'c', status::\"char\", now() - age "
        "FROM unnest(ARRAY[interval '7 days 23 hours', interval '8 days 1 hour']) AS age, "
        "unnest(ARRAY['d', 'x']) AS status, generate_series(1, 25) AS number"
    )
    assert await sweep_inbox(database, rows_max=10) == 25
    kept = await database.pool.fetch(
        "SELECT status, received_at < now() - interval '8 days' AS old, count(*) FROM inbox GROUP BY 1, 2"
    )
    assert {(row["status"], row["old"], row["count"]) for row in kept} == {(b"d", False, 25), (b"x", False, 25), (b"x", True, 25)}
