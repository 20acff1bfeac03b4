"""The largest value that a shape allows: every list full, every text as long as may be."""

import json
import re
from typing import Any, Final

from pydantic import BaseModel

from shared.contracts.asyncapi import document

PENGUIN: Final = "\N{PENGUIN}"
"""Of what a person can read, the most bytes a character has: 4."""
ESCAPED: Final = "\x01"
"""The most bytes any character has in JSON: 6."""

_SCHEMAS: Final = document()["components"]["schemas"]
_PATTERNED: Final = (
    "a" * 64,
    "a" * 32,
    "~" * 64,
    "sha256:" + "0" * 64,
    "0" * 64,
    "9" * 15 + "." + "9" * 6,
    "EUR",
    "SECURITY." + "a" * 40,
)


def largest(model: type[BaseModel], character: str) -> dict[str, Any]:
    """Return the largest body of `model` as JSON-ready data, its free texts made of `character`."""
    found: dict[str, Any] = _largest(_SCHEMAS[model.__name__], character)
    return found


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _largest(schema: dict[str, Any], character: str) -> Any:
    if "$ref" in schema:
        return _largest(_SCHEMAS[schema["$ref"].rpartition("/")[2]], character)
    if "anyOf" in schema:
        return max((_largest(each, character) for each in schema["anyOf"]), key=size)
    if "enum" in schema:
        return max(schema["enum"], key=size)
    return _OF_TYPE[schema["type"]](schema, character)


def _text(schema: dict[str, Any], character: str) -> str:
    if schema.get("format") == "date-time":
        return "2026-01-01T00:00:00.000000Z"
    if "pattern" in schema:
        return next(text for text in _PATTERNED if re.fullmatch(schema["pattern"], text))
    return character * int(schema["maxLength"])


def _list(schema: dict[str, Any], character: str) -> list[Any]:
    if isinstance(schema["items"], list):
        return [_largest(each, character) for each in schema["items"]]
    return [_largest(schema["items"], character)] * int(schema["maxItems"])


def _object(schema: dict[str, Any], character: str) -> dict[str, Any]:
    if "properties" in schema:
        return {name: _largest(each, character) for name, each in schema["properties"].items()}
    room = schema["propertyNames"]["maxLength"] - 2
    value = _largest(schema["additionalProperties"], character)
    return {f"{number:02}{character * room}": value for number in range(schema["maxProperties"])}


_OF_TYPE: Final = {
    "null": lambda _schema, _character: None,
    "boolean": lambda _schema, _character: False,
    "integer": lambda schema, _character: schema.get("maximum", 2**63 - 1),
    "string": _text,
    "array": _list,
    "object": _object,
}
