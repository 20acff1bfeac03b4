"""What every source gives: an open file, and word of which content it holds."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.checker.adapters.locations import LocationRefused

_SHOWN_MAX: Final = 160
OnProgress = Callable[[str, int, int], None]


class ContentChanged(LocationRefused):
    """What lies at the location is not, or is no longer, the content that was asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a source. `content_version` is the one that was stated, None for whatever is there now.

    `until` is of the monotonic clock.
    """

    location: str
    content_version: str | None
    until: float = field(default_factory=lambda: time.monotonic() + 600)
    on_progress: OnProgress = lambda _phase, _done, _total: None


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Opened:
    """An image, open read-only at `descriptor` until `close`.

    `content_version` is the one found at the location; None where only the digest can tell. `file_version` is that of the open
    file itself (shared/contracts/content_version.py). `recheck` looks at the location again: it raises `ContentChanged` if
    other content lies there by now, `LocationRefused` if that cannot be seen.
    """

    descriptor: int
    content_version: str | None
    file_version: str
    close: Callable[[], None]
    recheck: Callable[[], Awaitable[None]] = _nothing


class Source(Protocol):
    """Opens the locations of one scheme."""

    async def open(self, wanted: Wanted) -> Opened:
        """Open the image; raises `LocationRefused` with what is wrong and what to do."""
        ...


def shown(text: str) -> str:
    """Shorten a location and make what is not printable visible, so that it can be told."""
    visible = "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)
    return visible if len(visible) <= _SHOWN_MAX else f"{visible[: _SHOWN_MAX // 2]}…{visible[-_SHOWN_MAX // 2 :]}"


def is_digest(content_version: str | None) -> bool:
    """Whether a content version is the digest of the content itself: `sha256:` and 64 hexadecimal digits."""
    if content_version is None:
        return False
    name, colon, value = content_version.partition(":")
    with suppress(ValueError):
        return (name, colon) == ("sha256", ":") and value.islower() | value.isdigit() and len(bytes.fromhex(value)) == 32  # noqa: PLR2004 - of SHA-256
    return False
