"""RFC 9457 problem answers, with the domain's codes beside the standard members."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_json
from starlette.responses import Response

_MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "The query is not usable",
    404: "Not found",
    414: "The query is too long",
    503: "Not available just now",
}


class QueryRefused(Exception):
    """A query gets no answer; translated once, at the edge, into a problem document.

    `status` is the HTTP status, `code` the domain's code, `problems` name each parameter at fault.
    """

    def __init__(self, status: int, code: str, detail: str, problems: Sequence[dict[str, Any]] = ()) -> None:
        """Refuse with `status` and `code`; `detail` is one sentence for a person."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.problems = tuple(problems)


def problem_response(refused: QueryRefused) -> Response:
    """Render `refused` as `application/problem+json`."""
    document: dict[str, Any] = {
        "type": f"urn:imagecommons:problem:{refused.code}",
        "title": _TITLES.get(refused.status, "Refused"),
        "status": refused.status,
        "code": refused.code,
        "detail": refused.detail,
    }
    if refused.problems:
        document["problems"] = list(refused.problems)
    headers = {"cache-control": "no-store"}
    if refused.status == 503:  # noqa: PLR2004 - the one status that asks to come again
        headers["retry-after"] = "1"
    return Response(to_json(document), status_code=refused.status, media_type=_MEDIA_TYPE, headers=headers)
