"""The HTTP face that every service has: its own queries, health, metrics, and problems for what is not there."""

from collections.abc import Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from shared.health import Health
from shared.http.problems import QueryRefused, problem_response


def application(service: str, health: Health, routes: Sequence[BaseRoute]) -> Starlette:
    """Return the application of `service`: `routes` beside `/health/live`, `/health/ready` and `/metrics`."""

    async def live(_: Request) -> Response:
        stalled = health.stalled()
        status = 503 if stalled else 200
        return JSONResponse({"service": service, "alive": not stalled, "stalled": stalled}, status_code=status)

    async def ready(_: Request) -> Response:
        missing = await health.not_ready()
        status = 503 if missing else 200
        return JSONResponse({"service": service, "ready": not missing, "missing": missing}, status_code=status)

    async def show_metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[*routes, Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", show_metrics)],
        exception_handlers={HTTPException: _http_problem},
    )


async def _http_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_response(QueryRefused(error.status_code, f"Http.{error.status_code}", error.detail))
