"""What the HTTP queries read: publications, newest first, and one with its history."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

_COLUMNS: Final = """
    publication_id, image_id, region, account_id, state, since, reason, name, description, change_notes, family, requested_at,
    request_id, check_id, content_version, deadline_at
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM publications WHERE publication_id = $1"  # noqa: S608 - constants
_HISTORY: Final = """
    SELECT state, at, actor_kind, actor_id, request_id, reason, policy_version, problems
    FROM publication_transitions WHERE publication_id = $1 ORDER BY id
"""
FILTERS: Final = ("image_id", "account_id", "region", "state")


async def list_publications(
    pool: Any,  # noqa: ANN401 - asyncpg.Pool is untyped
    filters: dict[str, str],
    *,
    after: tuple[datetime, str] | None,
    count_max: int,
    timeout_s: float,
) -> list[dict[str, Any]]:
    """Return up to `count_max` publications, newest request first, that come after the place `after`.

    The order is total and its values never change, so pages neither repeat nor skip what was there when they began.
    """
    conditions, arguments = [], list[Any]()
    for name, value in filters.items():
        arguments.append(value)
        conditions.append(f"{_column(name)} = ${len(arguments)}")
    if after is not None:
        arguments.extend(after)
        conditions.append(f"(requested_at, publication_id) < (${len(arguments) - 1}, ${len(arguments)})")
    arguments.append(count_max)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    statement = f"""
        SELECT {_COLUMNS} FROM publications {where} ORDER BY requested_at DESC, publication_id DESC LIMIT ${len(arguments)}
    """  # noqa: S608 - names from a fixed list, values as arguments
    return [_document(row) for row in await pool.fetch(statement, *arguments, timeout=timeout_s)]


async def show_publication(pool: Any, publication_id: str, *, timeout_s: float) -> dict[str, Any] | None:  # noqa: ANN401
    """Return one publication with its `history`, oldest first; None if there is none."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        row = await connection.fetchrow(_ONE, publication_id, timeout=timeout_s)
        if row is None:
            return None
        history = await connection.fetch(_HISTORY, publication_id, timeout=timeout_s)
    return {**_document(row), "history": [_transition(line) for line in history]}


def place_of_last(documents: Sequence[dict[str, Any]]) -> tuple[datetime, str]:
    """Return the place of the last of `documents` in the order of the list."""
    last = documents[-1]
    return last["requested_at"], last["publication_id"]


def _document(row: Any) -> dict[str, Any]:  # noqa: ANN401 - asyncpg.Record is untyped
    document = {name: value for name, value in row.items() if value is not None}
    if "change_notes" in document:
        document["change_notes"] = json.loads(document["change_notes"])
    return document


def _transition(row: Any) -> dict[str, Any]:  # noqa: ANN401 - asyncpg.Record is untyped
    line = {name: row[name] for name in ("state", "at", "reason", "policy_version", "request_id") if row[name] is not None}
    return {**line, "actor": {"kind": row["actor_kind"], "id": row["actor_id"]}, "problems": json.loads(row["problems"])}


def _column(name: str) -> str:
    """Return the column to filter by; raises `ValueError` for any other text, which must not reach a statement."""
    return FILTERS[FILTERS.index(name)]
