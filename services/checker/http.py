"""The checker's queries: reports by id (as stored, as a page, as a bill of materials) and by digest, checks, the queue."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StringConstraints
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from services.checker.adapters.jobs import progress_document, queue_state
from shared.contracts.base import is_identifier
from shared.contracts.report import Report
from shared.http.parameters import Parameters, parse_parameters
from shared.http.problems import QueryRefused
from shared.http.routes import QUERY_TIMEOUT_S, query_route
from shared.reporting.bill_of_materials import bill_of_materials, reason_for_no_bill
from shared.reporting.page import content_security_policy, page

if TYPE_CHECKING:
    import asyncpg

PAGE_MAX: Final = 100
Pool = Callable[[], "asyncpg.Pool[Any]"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A report as it was stored, and the digest of its bytes."""

    document: bytes
    sha256: str

    @property
    def etag(self) -> str:
        """The entity tag of the bytes."""
        return f'"{self.sha256}"'


class _Nothing(Parameters):
    """No parameters."""


class _ByDigest(Parameters):
    """Reports of the image with these bytes, newest first."""

    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = 10


def routes(pool: Pool) -> Sequence[BaseRoute]:
    """Return the checker's routes; `pool` gives the connections at the time of a query."""

    def stored(answer: Callable[[Stored], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def report(request: Request) -> Response:
            found = await _stored(pool(), request)
            # A page of a report that lists every package takes a while to make.
            return await asyncio.to_thread(answer, found) if isinstance(found, Stored) else found

        return report

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
        query_route("/reports/{report_id}.html", stored(_page)),
        query_route("/reports/{report_id}.cdx.json", stored(_bill_of_materials)),
        query_route("/reports/{report_id}", stored(_document)),
        query_route("/reports", reports),
        query_route("/checks/{check_id}", check),
        query_route("/queue", queue),
    ]


async def _stored(pool: "asyncpg.Pool[Any]", request: Request) -> "Stored | Response":
    """Return the report asked for, or the answer that the asker has it already."""
    parse_parameters(_Nothing, request)
    report_id = request.path_params["report_id"]
    row = None
    if is_identifier(report_id):
        statement = "SELECT document, sha256 FROM reports WHERE report_id = $1"
        row = await pool.fetchrow(statement, report_id, timeout=QUERY_TIMEOUT_S)
    if row is None:
        raise QueryRefused(404, "InvalidReportId.NotFound", "there is no such report")
    found = Stored(row["document"], row["sha256"])
    if _has(request.headers.get("if-none-match", ""), found.etag):
        return Response(status_code=304, headers={"etag": found.etag})
    return found


def _has(if_none_match: str, etag: str) -> bool:
    """Whether the asker has `etag`: any of a list, compared weakly, as caches may have weakened it. Source: RFC 9110, 13.1.2."""
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in if_none_match.split(","))


def _document(found: Stored) -> Response:
    """Answer with the exact bytes stored, so that their SHA-256 is the one in the events."""
    headers = {"etag": found.etag, "cache-control": "private, max-age=31536000, immutable"}
    return Response(found.document, media_type="application/json", headers=headers)


def _page(found: Stored) -> Response:
    headers = {
        "cache-control": "private, no-cache",
        "content-security-policy": content_security_policy(framing=True),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    return HTMLResponse(page(Report.model_validate_json(found.document)), headers=headers)


def _bill_of_materials(found: Stored) -> Response:
    report = Report.model_validate_json(found.document)
    reason = reason_for_no_bill(report)
    if reason is not None:
        raise QueryRefused(404, "BillOfMaterials.NotFound", reason)
    text = bill_of_materials(report, name=report.image.digest or report.report_id)
    return Response(
        text, media_type="application/vnd.cyclonedx+json; version=1.6", headers={"cache-control": "private, no-cache"}
    )
