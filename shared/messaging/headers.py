"""Kafka headers of an event as text for the outbox, and back."""

from collections.abc import Iterable

from pydantic_core import from_json, to_json


def headers_to_text(headers: Iterable[tuple[str, bytes]]) -> str:
    """Return CloudEvents headers (each name once, UTF-8 values) as one JSON object."""
    return to_json({name: value.decode() for name, value in headers}).decode()


def text_to_headers(text: str) -> list[tuple[str, bytes]]:
    """Return what `headers_to_text` was given."""
    return [(name, value.encode()) for name, value in from_json(text).items()]


def headers_to_json(headers: Iterable[tuple[str, bytes | None]]) -> list[list[str | None]]:
    """Return a stranger's headers as JSON: repeated names kept, bytes that are not UTF-8 (and NUL) escaped."""
    return [
        [_printable(name), None if value is None else _printable(value.decode(errors="backslashreplace"))]
        for name, value in headers
    ]


def _printable(text: str) -> str:
    # PostgreSQL's jsonb and text hold no U+0000; lone surrogates do not encode.
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
