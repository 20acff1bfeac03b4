"""What an answer says beside the state: message, warnings, and for refusals every problem at once."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from shared.contracts.base import CodeText, Count, Line, Message, Name, Sha256, Shape, ShortText
from shared.contracts.requests import Actor

ItemName = Annotated[str, Field(max_length=64, pattern=r"^(GUESTOS|SECURITY)\.[A-Za-z]{1,40}$")]


class Evidence(Shape):
    """Where in an image a finding was made; `sha256` is of the file's bytes."""

    path: Line | None = None
    line: Count | None = None
    text: Line | None = None
    sha256: Sha256 | None = None


EvidenceList = Annotated[tuple[Evidence, ...], Field(max_length=3)]


class Warned(Shape):
    """Something that was accepted and could be better."""

    code: CodeText
    message: Message
    suggested_name: Name | None = None


class Problem(Shape):
    """One reason of a refusal."""

    code: CodeText
    advice: Message
    rule: Annotated[int, Field(ge=1, le=12)] | None = None
    field: ShortText | None = None
    value: Line | None = None
    item: ItemName | None = None
    level: ShortText | None = None
    evidence: EvidenceList | None = None


class Outcome(Shape):
    """The part of `change` that every answer has."""

    message: Message = ""
    warnings: Annotated[tuple[Warned, ...], Field(max_length=16)] = ()
    problems: Annotated[tuple[Problem, ...], Field(max_length=32)] = ()
    retryable: bool = False
    actor: Actor | None = None
    reason: Line | None = None
    would_be: ShortText | None = None
    """Of a rehearsal: the type of answer the real request would have got."""


def evidence_within(bytes_max: int, found: Sequence[tuple[Evidence, ...] | None]) -> list[tuple[Evidence, ...] | None]:
    """Return `found`, a list of evidence for each finding, cut to `bytes_max` of JSON together: the earlier goes first.

    An event has to stay under its 64 KiB whatever a stranger's image brought up; the report holds all of it.
    """
    left = bytes_max
    kept: list[tuple[Evidence, ...] | None] = []
    for pieces in found:
        some: list[Evidence] = []
        for piece in pieces or ():
            left -= len(piece.__pydantic_serializer__.to_json(piece, exclude_none=True))
            if left < 0:
                break
            some.append(piece)
        kept.append(tuple(some) or None)
    return kept
