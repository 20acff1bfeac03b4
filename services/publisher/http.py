"""Publisher's queries: publications and what became of them. Read-only, on loopback: there are no tokens yet."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StringConstraints
from pydantic_core import to_json
from starlette.requests import Request
from starlette.routing import BaseRoute

from services.publisher.adapters.queries import FILTERS, list_publications, place_of_last, show_publication
from shared.contracts.image_events import PublicationState
from shared.http.cursors import CURSOR_CHARACTERS_MAX, decode_cursor, encode_cursor
from shared.http.parameters import IdentifierParameter, Parameters, RegionParameter, parse_parameters
from shared.http.problems import QueryRefused
from shared.http.routes import QUERY_TIMEOUT_S, query_route

if TYPE_CHECKING:
    import asyncpg

PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 100
Pool = Callable[[], "asyncpg.Pool[Any]"]


class _Page(Parameters):
    """What any list can be narrowed to, and how it is paged."""

    account_id: IdentifierParameter | None = None
    region: RegionParameter | None = None
    state: PublicationState | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=CURSOR_CHARACTERS_MAX)] | None = None


class _List(_Page):
    """Publications of all images, or of one."""

    image_id: IdentifierParameter | None = None


class _Asker(Parameters):
    """Whose publication, and where: what does not fit is not found."""

    account_id: IdentifierParameter | None = None
    region: RegionParameter | None = None


def routes(pool: Pool) -> Sequence[BaseRoute]:
    """Return publisher's routes; `pool` gives the connections at the time of a query."""

    async def publications(request: Request) -> bytes:
        asked = parse_parameters(_List, request)
        return await _list(pool(), asked, image_id=asked.image_id)

    async def of_image(request: Request) -> bytes:
        return await _list(pool(), parse_parameters(_Page, request), image_id=_segment(request, "image_id"))

    async def publication(request: Request) -> bytes:
        asker = parse_parameters(_Asker, request)
        return await _show(pool(), _segment(request, "publication_id"), asker)

    return [
        query_route("/publications", publications),
        query_route("/publications/{publication_id}", publication),
        query_route("/images/{image_id}/publications", of_image),
    ]


async def _list(pool: "asyncpg.Pool[Any]", asked: _Page, *, image_id: str | None) -> bytes:
    given = {"image_id": image_id, "account_id": asked.account_id, "region": asked.region, "state": asked.state}
    filters = {name: value for name in FILTERS if (value := given[name]) is not None}
    query = to_json(["publications", filters]).decode()
    after = None if asked.cursor is None else decode_cursor(query, asked.cursor)
    rows = await list_publications(pool, filters, after=after, count_max=asked.limit + 1, timeout_s=QUERY_TIMEOUT_S)
    shown = rows[: asked.limit]
    cursor = encode_cursor(query, *place_of_last(shown)) if len(rows) > asked.limit else None
    return to_json({"publications": [_in_utc(row) for row in shown], "next_cursor": cursor})


async def _show(pool: "asyncpg.Pool[Any]", publication_id: str, asker: _Asker) -> bytes:
    found = await show_publication(pool, publication_id, timeout_s=QUERY_TIMEOUT_S)
    if found is None or not _fits(found, asker):
        raise QueryRefused(404, "InvalidPublicationId.NotFound", "there is no such publication")
    return to_json({**_in_utc(found), "history": [_in_utc(line) for line in found["history"]]})


def _fits(found: Mapping[str, Any], asker: _Asker) -> bool:
    return asker.account_id in {None, found["account_id"]} and asker.region in {None, found["region"]}


def _segment(request: Request, name: str) -> str:
    """Return a part of the path; what holds control characters names nothing, and U+0000 would be an error to the database."""
    text: str = request.path_params[name]
    if not text.isprintable():
        raise QueryRefused(404, "NotFound", f"the path names no {name}")
    return text


def _in_utc(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in document.items()}
