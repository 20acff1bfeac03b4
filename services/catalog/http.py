"""The catalog's queries: the images an account sees in a region, and one of them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints
from pydantic_core import to_json
from starlette.requests import Request
from starlette.routing import BaseRoute

from services.catalog.adapters.listing import ONE_IMAGE, Listing
from shared.http.cursors import CURSOR_CHARACTERS_MAX, decode_cursor, encode_cursor
from shared.http.parameters import (
    IdentifierParameter,
    Parameters,
    RegionParameter,
    TextParameter,
    parse_parameters,
)
from shared.http.problems import QueryRefused
from shared.http.routes import QUERY_TIMEOUT_S, query_route

if TYPE_CHECKING:
    import asyncpg

PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 100
_VISIBILITIES: Final = {1: b'{"visibility":"own",', 2: b'{"visibility":"shared",', 3: b'{"visibility":"community",'}

Status = Literal["Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated"]
"""The states a list can be narrowed to; a deleted image is in no list."""
Pool = Callable[[], "asyncpg.Pool[Any]"]


class _Asker(Parameters):
    """Who asks, and where; there are no tokens yet, so HTTP is on loopback."""

    region: RegionParameter
    account_id: IdentifierParameter


class _List(_Asker):
    """What a list can be narrowed to, and how it is paged."""

    owner: IdentifierParameter | None = None
    status: Status | None = None
    os_version: TextParameter | None = None
    architecture: TextParameter | None = None
    name: TextParameter | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=CURSOR_CHARACTERS_MAX)] | None = None


def routes(pool: Pool) -> Sequence[BaseRoute]:
    """Return the catalog's routes; `pool` gives the connections at the time of a query."""

    async def images(request: Request) -> bytes:
        return await _list(pool(), parse_parameters(_List, request))

    async def image(request: Request) -> bytes:
        return await _show(pool(), request.path_params["image_id"], parse_parameters(_Asker, request))

    return [query_route("/images", images), query_route("/images/{image_id}", image)]


async def _list(pool: "asyncpg.Pool[Any]", asked: _List) -> bytes:
    filters = asked.model_dump(exclude={"limit", "cursor"})
    query = to_json(["images", filters]).decode()
    after = None if asked.cursor is None else decode_cursor(query, asked.cursor)
    statement, arguments = Listing(**filters, limit=asked.limit, after=after).statement()
    rows = await pool.fetch(statement, *arguments, timeout=QUERY_TIMEOUT_S)
    found = [row for row in rows[: asked.limit] if row["image_id"] is not None]
    cursor = None
    if len(rows) > asked.limit:
        cursor = encode_cursor(query, found[-1]["created_at"], found[-1]["image_id"])
    items = b",".join(_item(row) for row in found)
    return b'{"as_of":%b,"images":[%b],"next_cursor":%b}' % (_as_of(rows[0]), items, to_json(cursor))


async def _show(pool: "asyncpg.Pool[Any]", image_id: str, asker: _Asker) -> bytes:
    row = None
    # What is no id at all is no image either; U+0000 would be an error to the database.
    if image_id.isprintable():
        row = await pool.fetchrow(ONE_IMAGE, image_id, asker.region, asker.account_id, timeout=QUERY_TIMEOUT_S)
    if row is None or row["image_id"] is None:
        raise QueryRefused(404, "InvalidImageId.NotFound", "the account sees no such image in this region")
    return b'{"as_of":%b,%b' % (_as_of(row), _item(row)[1:])


def _item(row: Mapping[str, Any]) -> bytes:
    shown: str = row["shown"]
    if row["strength"] == 1:
        shown += row["shown_to_owner"]
    return _VISIBILITIES[row["strength"]] + shown.encode() + b"}"


def _as_of(row: Mapping[str, Any]) -> bytes:
    """Return when the newest event was decided that the answer includes, as JSON; null before the first."""
    moment = row["as_of"]
    return b"null" if moment is None else to_json(moment.astimezone(UTC))
