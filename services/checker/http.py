"""The checker's queries: reports by id and by the image's digest, checks, the queue."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StringConstraints
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from services.checker.adapters.jobs import progress_document, queue_state
from shared.contracts.base import is_identifier
from shared.http.parameters import Parameters, parse_parameters
from shared.http.problems import QueryRefused
from shared.http.routes import QUERY_TIMEOUT_S, query_route

if TYPE_CHECKING:
    import asyncpg

PAGE_MAX: Final = 100
Pool = Callable[[], "asyncpg.Pool[Any]"]


class _Nothing(Parameters):
    """No parameters."""


class _ByDigest(Parameters):
    """Reports of the image with these bytes, newest first."""

    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = 10


def routes(pool: Pool) -> Sequence[BaseRoute]:
    """Return the checker's routes; `pool` gives the connections at the time of a query."""

    async def report(request: Request) -> Response:
        return await _report(pool(), request)

    async def reports(request: Request) -> bytes:
        asked = parse_parameters(_ByDigest, request)
        rows = await pool().fetch(
            "SELECT report_id, check_id, sha256, created_at FROM reports"
            " WHERE image_digest = $1 ORDER BY created_at DESC LIMIT $2",
            asked.digest,
            asked.limit,
            timeout=QUERY_TIMEOUT_S,
        )
        return to_json({"reports": [dict(row) for row in rows]})

    async def check(request: Request) -> bytes:
        parse_parameters(_Nothing, request)
        check_id = request.path_params["check_id"]
        row = None
        if is_identifier(check_id):
            row = await pool().fetchrow("SELECT * FROM check_jobs WHERE check_id = $1", check_id, timeout=QUERY_TIMEOUT_S)
        if row is None:
            raise QueryRefused(404, "InvalidCheckId.NotFound", "there is no such check")
        return to_json(progress_document(row))

    async def queue(request: Request) -> bytes:
        parse_parameters(_Nothing, request)
        depth, age_s = await queue_state(pool(), timeout_s=QUERY_TIMEOUT_S)
        return to_json({"waiting": depth, "oldest_age_s": round(age_s, 3)})

    return [
        query_route("/reports/{report_id}", report),
        query_route("/reports", reports),
        query_route("/checks/{check_id}", check),
        query_route("/queue", queue),
    ]


async def _report(pool: "asyncpg.Pool[Any]", request: Request) -> Response:
    """Answer with the exact bytes stored, so that their SHA-256 is the one in the events."""
    parse_parameters(_Nothing, request)
    report_id = request.path_params["report_id"]
    row = None
    if is_identifier(report_id):
        statement = "SELECT document, sha256 FROM reports WHERE report_id = $1"
        row = await pool.fetchrow(statement, report_id, timeout=QUERY_TIMEOUT_S)
    if row is None:
        raise QueryRefused(404, "InvalidReportId.NotFound", "there is no such report")
    etag = f'"{row["sha256"]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"etag": etag})
    headers = {"etag": etag, "cache-control": "private, max-age=31536000, immutable"}
    return Response(row["document"], media_type="application/json", headers=headers)
