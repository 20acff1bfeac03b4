"""The launcher's queries: an account's instances, and one of them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StringConstraints
from pydantic_core import to_json
from starlette.requests import Request
from starlette.routing import BaseRoute

from services.launcher.adapters.books import INSTANCE_COLUMNS, LAST_CHARGE, instance_of
from services.launcher.handlers.answers import state_of
from shared.http.cursors import CURSOR_CHARACTERS_MAX, decode_cursor, encode_cursor
from shared.http.parameters import IdentifierParameter, Parameters, RegionParameter, parse_parameters
from shared.http.problems import QueryRefused
from shared.http.routes import QUERY_TIMEOUT_S, query_route

if TYPE_CHECKING:
    import asyncpg

PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 100
Pool = Callable[[], "asyncpg.Pool[Any]"]

_ONE: Final = f"""
    SELECT {INSTANCE_COLUMNS} FROM instances {LAST_CHARGE}
    WHERE instances.instance_id = $1 AND instances.account_id = $2 AND ($3::text IS NULL OR region = $3)
"""  # noqa: S608 - constants only


class _Asker(Parameters):
    """Whose instances; there are no tokens yet, so HTTP is on loopback."""

    account_id: IdentifierParameter
    region: RegionParameter | None = None


class _List(_Asker):
    """What a list can be narrowed to, and how it is paged."""

    image_id: IdentifierParameter | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=CURSOR_CHARACTERS_MAX)] | None = None


def routes(pool: Pool) -> Sequence[BaseRoute]:
    """Return the launcher's routes; `pool` gives the connections at the time of a query."""

    async def instances(request: Request) -> bytes:
        return await _list(pool(), parse_parameters(_List, request))

    async def instance(request: Request) -> bytes:
        return await _show(pool(), request.path_params["instance_id"], parse_parameters(_Asker, request))

    return [query_route("/instances", instances), query_route("/instances/{instance_id}", instance)]


def list_statement(asked: _List, after: tuple[datetime, str] | None) -> tuple[str, Sequence[Any]]:
    """Return the SQL text and arguments of a page of the account's instances, newest first, read from one index."""
    arguments: list[Any] = [asked.account_id]
    clauses = ["instances.account_id = $1"]
    for column, value in (("region", asked.region), ("image_id", asked.image_id)):
        if value is not None:
            arguments.append(value)
            clauses.append(f"instances.{column} = ${len(arguments)}")
    if after is not None:
        arguments.extend(after)
        clauses.append(f"(launched_at, instances.instance_id) < (${len(arguments) - 1}, ${len(arguments)})")
    # The page is cut first, the charges are looked up for its rows alone.
    page = (
        f"SELECT * FROM instances WHERE {' AND '.join(clauses)} "  # noqa: S608 - clauses are ours, values are arguments
        f"ORDER BY launched_at DESC, instance_id DESC LIMIT {int(asked.limit) + 1}"
    )
    return (
        f"SELECT {INSTANCE_COLUMNS} FROM ({page}) AS instances {LAST_CHARGE} "  # noqa: S608
        "ORDER BY launched_at DESC, instances.instance_id DESC"
    ), arguments


async def _list(pool: "asyncpg.Pool[Any]", asked: _List) -> bytes:
    query = to_json(["instances", asked.model_dump(exclude={"limit", "cursor"})]).decode()
    after = None if asked.cursor is None else decode_cursor(query, asked.cursor)
    statement, arguments = list_statement(asked, after)
    rows = await pool.fetch(statement, *arguments, timeout=QUERY_TIMEOUT_S)
    found = rows[: asked.limit]
    cursor = None
    if len(rows) > asked.limit:
        cursor = encode_cursor(query, found[-1]["launched_at"], found[-1]["instance_id"])
    return to_json({"instances": [_shown(row) for row in found], "next_cursor": cursor})


async def _show(pool: "asyncpg.Pool[Any]", instance_id: str, asker: _Asker) -> bytes:
    row = None
    # What is no id at all is no instance either; U+0000 would be an error to the database.
    if instance_id.isprintable():
        row = await pool.fetchrow(_ONE, instance_id, asker.account_id, asker.region, timeout=QUERY_TIMEOUT_S)
    if row is None:
        raise QueryRefused(404, "InvalidInstanceId.NotFound", "the account has no such instance")
    return to_json(_shown(row))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = state_of(instance_of(row)).model_dump(mode="json", exclude_none=True)
    for name in ("launched_at", "changed_at", "released_at"):
        if row[name] is not None:
            state[name] = row[name].astimezone(UTC).isoformat().replace("+00:00", "Z")
    if row["release_reason"] is not None:
        state["release_reason"] = row["release_reason"]
    return state
