"""Read-only queries to the services' HTTP."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from cli.connection import url_variable
from cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.connection import Endpoints

ANSWER_BYTES_MAX = 16 * 1024 * 1024
QUERY_TIMEOUT_S = 10.0
PROBE_BYTES_MAX = 8192
PROBE_TIMEOUT_S = 5.0


def query(endpoints: Endpoints, service: str, path: str, parameters: Mapping[str, object] | None = None) -> Any:
    """Return the JSON document a service answers with.

    Args:
        endpoints: where the platform is.
        service: which service.
        path: path beneath its base URL, each segment already escaped (see `segment`).
        parameters: query parameters; those that are None are left out.

    Raises:
        CommandError: not reachable, or the service refused the query.
    """
    base = endpoints.urls.get(service)
    if base is None:
        raise CommandError(
            f"{service} does not run on the local stack",
            where=str(endpoints.stack),
            advice=f"start it: image-commons run all (or run {service}), or name its address in {url_variable(service)}",
        )
    if urlsplit(base).scheme not in {"http", "https"}:
        raise CommandError(
            f"the address of {service} is no HTTP URL",
            where=base,
            advice=f"correct {url_variable(service)}",
            exit_code=ExitCode.USAGE,
        )
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    url = f"{base.rstrip('/')}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
    request = Request(url, headers={"accept": "application/json"})  # noqa: S310 - the scheme is looked at above
    try:
        with urlopen(request, timeout=QUERY_TIMEOUT_S) as response:  # noqa: S310
            return _decode(response.read(ANSWER_BYTES_MAX + 1), url)
    except HTTPError as error:
        raise _refused(error, url) from error
    except (URLError, TimeoutError, ConnectionError) as error:
        why = error.reason if isinstance(error, URLError) else error
        raise CommandError(
            f"{service} does not answer",
            where=url,
            why=str(why),
            advice=f"start it (`image-commons run {service}`), or name its address in {url_variable(service)}",
        ) from error


def probe(url: str) -> tuple[int, str]:
    """Ask `url`; return the HTTP status with the beginning of the answer, or 0 with why there was none."""
    if urlsplit(url).scheme not in {"http", "https"}:
        return 0, "this is no HTTP URL"
    try:
        with urlopen(url, timeout=PROBE_TIMEOUT_S) as response:  # noqa: S310 - the scheme is looked at above
            return int(response.status), response.read(PROBE_BYTES_MAX).decode(errors="replace")
    except HTTPError as error:
        return error.code, error.read(PROBE_BYTES_MAX).decode(errors="replace")
    except (URLError, OSError) as error:
        return 0, str(error)


def segment(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def _advice(problem: Mapping[str, Any]) -> str:
    text = str(problem.get("advice") or problem.get("detail") or problem)
    return f"{problem['field']}: {text}" if problem.get("field") else text


def _decode(body: bytes, url: str) -> Any:
    if len(body) > ANSWER_BYTES_MAX:
        raise CommandError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes", where=url)
    try:
        return json.loads(body)
    except ValueError as error:
        raise CommandError(
            "the answer is not JSON", where=url, why=str(error), advice="is it our service at that address?"
        ) from error


def _refused(error: HTTPError, url: str) -> CommandError:
    try:
        problem = json.loads(error.read(ANSWER_BYTES_MAX))
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    code = problem.get("code") or f"HTTP {error.code}"
    advice = "; ".join(_advice(item) for item in problem.get("problems", []) if isinstance(item, dict))
    if error.code == HTTPStatus.BAD_REQUEST:
        exit_code = ExitCode.USAGE  # what was asked is no question
    else:
        exit_code = ExitCode.REFUSED if error.code < HTTPStatus.INTERNAL_SERVER_ERROR else ExitCode.ERROR
    return CommandError(
        str(code),
        where=url,
        why=problem.get("detail"),
        advice=advice or None,
        exit_code=exit_code,
    )
