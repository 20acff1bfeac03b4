# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the inspector says: items with their evidence, and refusals of what cannot be read."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

TEXT_CHARACTERS_MAX = 512
EVIDENCE_MAX = 16


class Unreadable(Exception):
    """The image, or a part of it, cannot be read safely; `code` says why in short, the text in words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def attempt(read: Callable[[], T]) -> T | Unreadable:
    """Return what `read` returns, or why it could not: parsers of a stranger's bytes may raise anything, and it is a finding."""
    try:
        return read()
    except Unreadable as error:
        return error
    except MemoryError:
        return Unreadable("OutOfMemory", "reading it takes more memory than the inspector may have")
    except RecursionError:
        return Unreadable("TooDeep", "it is nested deeper than anything real")
    except Exception as error:  # noqa: BLE001 - see above
        return Unreadable("Malformed", f"{type(error).__name__}: {error}"[:300])


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a finding was made: a path inside the image, a line of it from 1, its text, the file's SHA-256."""

    path: str | None = None
    line: int | None = None
    text: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """The judgement of one check item."""

    name: str
    level: str
    code: str | None = None
    value: Any = None
    evidence: tuple[Evidence, ...] = ()
    advice: str | None = None

    def as_document(self) -> dict[str, Any]:
        """Return the item as JSON-ready data, bounded, absent fields left out."""
        document = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        if "evidence" in document:
            document["evidence"] = [
                {name: shown(value) if isinstance(value, str) else value for name, value in one.items() if value is not None}
                for one in document["evidence"][:EVIDENCE_MAX]
            ]
        if isinstance(self.value, str):
            document["value"] = shown(self.value)
        elif isinstance(self.value, tuple):
            document["value"] = [shown(str(one)) for one in self.value[:EVIDENCE_MAX]]
        if self.advice is not None:
            document["advice"] = shown(self.advice)
        return document


@dataclass(slots=True)
class FileText:
    """A small text file read from the image: its path there, its lines, the digest of its bytes."""

    path: str
    data: bytes
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Split the bytes into lines, decoding what is no UTF-8 as escapes."""
        self.lines = self.data.decode(errors="backslashreplace").split("\n")

    def evidence(self, line: int | None = None) -> Evidence:
        """Return evidence of this file, and of one line of it (from 1)."""
        text = None if line is None else self.lines[line - 1]
        return Evidence(self.path, line, text, hashlib.sha256(self.data).hexdigest())


def shown(text: str) -> str:
    """Return `text` without characters that a terminal would act on, shortened: what is escaped counts as long as it then is."""
    cut = text[: TEXT_CHARACTERS_MAX + 1]
    escaped = "".join(one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode() for one in cut)
    return escaped if len(escaped) <= TEXT_CHARACTERS_MAX else escaped[: TEXT_CHARACTERS_MAX - 1] + "…"
