"""Which of two package versions is the older one, as the package manager itself orders them. Pure.

The orders are univers's: Debian policy 5.6.12, rpm's `rpmvercmp`, and Gentoo's, of which apk's is a relative.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, Protocol, Self

Scheme = Literal["deb", "rpm", "apk"]
_TEXT_MAX: Final = 128
_SOURCE_CONTROL: Final = re.compile(r"_(?:cvs|svn|git|hg)(?=\d|$|-|_)")
_APK_HASH: Final = re.compile(r"~[0-9a-f]+")


class NotComparable(ValueError):
    """A version that the package manager would not take for one."""


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...


class _Apk:
    """A version of apk, in Gentoo's order."""

    def __init__(self, text: str) -> None:
        # Loaded where the first such version is met: an image without them need not wait for it.
        from univers.gentoo import is_valid  # noqa: PLC0415

        # Gentoo knows no suffixes for snapshots of source control; like a patch level they come after the release.
        self.text = _SOURCE_CONTROL.sub("_p", _APK_HASH.sub("", text))
        if not is_valid(self.text):
            raise NotComparable(text)

    def __lt__(self, other: "_Apk", /) -> bool:
        from univers.gentoo import vercmp  # noqa: PLC0415

        return bool(vercmp(self.text, other.text) < 0)


def check(scheme: Scheme, text: str) -> None:
    """Raise `NotComparable` if `text` is no version."""
    _parsed(scheme, text)


def is_version(scheme: Scheme, text: str) -> bool:
    """Whether `text` can be compared."""
    try:
        check(scheme, text)
    except NotComparable:
        return False
    return True


def older(scheme: Scheme, one: str, other: str) -> bool:
    """Whether the version `one` comes before `other`; raises `NotComparable`."""
    if one == other:
        check(scheme, one)
        return False
    return _older(scheme, one, other)


@lru_cache(maxsize=1 << 16)
def _older(scheme: Scheme, one: str, other: str) -> bool:
    # Many vulnerabilities of a package share few fixed versions, and many packages of an image one source.
    return bool(_parsed(scheme, one) < _parsed(scheme, other))


@lru_cache(maxsize=1 << 16)
def _parsed(scheme: Scheme, text: str) -> _Ordered:
    if not text or len(text) > _TEXT_MAX or not text.isascii() or not text.isprintable() or " " in text:
        raise NotComparable(text[:_TEXT_MAX])
    try:
        return _PARSERS[scheme](text)
    except (ValueError, TypeError, AttributeError) as error:
        raise NotComparable(text) from error


def _debian(text: str) -> _Ordered:
    from univers.debian import Version  # noqa: PLC0415

    version: _Ordered = Version.from_string(text)
    return version


def _rpm(text: str) -> _Ordered:
    from univers.rpm import RpmVersion  # noqa: PLC0415

    version: _Ordered = RpmVersion.from_string(text)
    return version


_PARSERS: Final[dict[Scheme, Callable[[str], _Ordered]]] = {"deb": _debian, "rpm": _rpm, "apk": _Apk}
