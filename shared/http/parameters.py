"""Query parameters: every one declared, bounded, given once; whatever else comes is refused by name."""

import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.requests import Request

from shared.http.problems import QueryRefused

QUERY_BYTES_MAX: Final = 4096
_SHOWN_CHARACTERS_MAX: Final = 80
_PROBLEMS_MAX: Final = 20

# `\Z`, because `$` would let a line feed through at the end.
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_REGION = re.compile(r"[a-z0-9-]{1,32}\Z")


def _identifier(text: str) -> str:
    if _IDENTIFIER.match(text) is None:
        message = "an id is 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        raise ValueError(message)
    return text


def _region(text: str) -> str:
    if _REGION.match(text) is None:
        message = "a region is 1 to 32 lower-case letters, digits or '-'"
        raise ValueError(message)
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        message = "control characters are not allowed"
        raise ValueError(message)
    return text


IdentifierParameter = Annotated[str, AfterValidator(_identifier)]
RegionParameter = Annotated[str, AfterValidator(_region)]
TextParameter = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_printable)]


class Parameters(BaseModel):
    """Base of the parameters of one query; subclasses declare each with its bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P", bound=Parameters)


def parse_parameters(model: type[P], request: Request) -> P:
    """Return the parameters of `request` as `model`; raises `QueryRefused` that names every one at fault."""
    if len(request.url.query) > QUERY_BYTES_MAX:
        message = f"the query string is longer than {QUERY_BYTES_MAX} bytes"
        raise QueryRefused(414, "InvalidParameter", message)
    given: dict[str, str] = {}
    problems: list[dict[str, Any]] = []
    for name, value in request.query_params.multi_items():
        if name in given:
            problems.append(_problem("InvalidParameter", name, value, "give it once"))
        given[name] = value
    try:
        parsed = model.model_validate(given)
    except ValidationError as error:
        problems.extend(_problem_of(item) for item in error.errors(include_url=False, include_context=False))
    else:
        if not problems:
            return parsed
    names = ", ".join(sorted({str(problem["field"]) for problem in problems})[:_PROBLEMS_MAX])
    raise QueryRefused(400, str(problems[0]["code"]), f"not usable: {names}", problems[:_PROBLEMS_MAX])


def _problem_of(item: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's error details
    name = str(item["loc"][0]) if item["loc"] else "query"
    if item["type"] == "missing":
        return _problem("MissingParameter", name, None, "this parameter is required")
    if item["type"] == "extra_forbidden":
        return _problem("InvalidParameter", name, None, "no such parameter")
    return _problem("InvalidParameter", name, item["input"], str(item["msg"]).removeprefix("Value error, "))


def _problem(code: str, name: str, value: object, advice: str) -> dict[str, Any]:
    problem: dict[str, Any] = {"code": code, "field": name[:_SHOWN_CHARACTERS_MAX], "advice": advice}
    if isinstance(value, str):
        problem["value"] = value[:_SHOWN_CHARACTERS_MAX]
    return problem
