"""Bounds and base classes of every event's body (contracts, Core shapes).

Unknown fields are tolerated on read and never written; types are not coerced; absent optional fields are left out of the JSON.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

IDENTIFIER_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
REGION_PATTERN: Final = r"^[a-z0-9-]{1,32}$"
SIZE_BYTES_MAX: Final = 2**62
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII)


def _without_nul(text: str) -> str:
    if "\x00" in text:
        message = "U+0000 is not allowed"
        raise ValueError(message)
    return text


def is_time(text: str) -> bool:
    """Whether `text` has the form of an RFC 3339 time, of a year that holds it in every zone: 2 to 9998."""
    return _TIME.match(text) is not None and "0001" < text[:4] < "9999"


def _as_time(given: object) -> object:
    if isinstance(given, datetime) or (isinstance(given, str) and is_time(given)):
        return given
    message = "not an RFC 3339 time with an offset, of the years 2 to 9998"
    raise ValueError(message)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


NoNul = AfterValidator(_without_nul)
Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN)]
ImageId = Identifier
AccountId = Identifier
InstanceId = Identifier
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
Name = Annotated[str, StringConstraints(max_length=256), NoNul]
"""A name as somebody gave it: the rules judge it, the shape only bounds it."""
Description = Annotated[str, StringConstraints(max_length=2048), NoNul]
Line = Annotated[str, StringConstraints(max_length=256), NoNul]
Message = Annotated[str, StringConstraints(max_length=512), NoNul]
CodeText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul]
Version = Annotated[str, StringConstraints(min_length=1, max_length=256), NoNul]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=64), NoNul]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SizeBytes = Annotated[int, Field(ge=0, le=SIZE_BYTES_MAX)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Sequence = Annotated[int, Field(ge=1, le=2**63 - 1)]
Money = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Time = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_as_time),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
]
"""RFC 3339 with an offset; written in UTC with microseconds."""

_IDENTIFIER = re.compile(IDENTIFIER_PATTERN + r"\Z")


def is_identifier(text: str) -> bool:
    """Whether `text` has the form of an image, account or instance id."""
    return _IDENTIFIER.match(text) is not None and not text.endswith("\n")


class Shape(BaseModel):
    """Base of everything inside an event."""

    model_config = ConfigDict(
        frozen=True, defer_build=True, strict=True, extra="ignore", allow_inf_nan=False, ser_json_inf_nan="null"
    )


class Body(Shape):
    """Base of an event's body."""
