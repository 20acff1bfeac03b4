"""Read-only JSON queries over HTTP: one wrapper that turns refusals and outages into problem answers."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.database.errors import Fault, fault_of
from shared.http.problems import QueryRefused, problem_response

QUERY_TIMEOUT_S: Final = 5.0
"""How long one query may keep the database busy."""

Query = Callable[[Request], Awaitable[bytes | Response]]
"""Answers a request with the bytes of a JSON document, or a whole response; raises `QueryRefused` where there is none."""


def query_route(path: str, query: Query) -> Route:
    """Return the GET route of `path` that answers with what `query` returns."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await query(request)
        except QueryRefused as refused:
            return problem_response(refused)
        except Exception as error:
            if fault_of(error) is not Fault.TRANSIENT:
                raise
            return problem_response(QueryRefused(503, "ServiceUnavailable", "the database did not answer in time"))
        if isinstance(body, Response):
            return body
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    return Route(path, endpoint, methods=["GET"])
