# SPDX-License-Identifier: AGPL-3.0-or-later
"""A package's header as every rpm database holds it. Source: rpm, format_header.md, rpmtag.h.

Two counts; index entries of 16 bytes (tag, type, place, count); the values. All numbers have their big end first.
"""

import re
import struct
from collections.abc import Iterator

from findings import Unreadable
from packages.package import Package, built_from, text_of

BYTES_MAX = 64 * 2**20
_ENTRIES_MAX = 10_000
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE, _SOURCE_RPM = 1000, 1001, 1002, 1003, 1022, 1044
_FILE_DIGESTS, _DIR_INDEXES, _BASE_NAMES, _DIR_NAMES = 1035, 1116, 1117, 1118
_INT32, _STRING, _STRING_ARRAY, _I18N_STRING = 4, 6, 8, 9
_FILE_NAME = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm")
_KEY = "gpg-pubkey"


class Header:
    """The header's values by tag. Raises `Unreadable` for one whose counts do not fit it; a tag that is not there is None."""

    def __init__(self, blob: bytes) -> None:
        entries, size = struct.unpack(">II", blob[:8]) if len(blob) >= 8 else (0, 0)
        self._start = 8 + entries * 16
        if not 0 < entries <= _ENTRIES_MAX or self._start + size > len(blob):
            raise Unreadable("RpmHeaderMalformed", "an rpm header's counts do not fit its size")
        self._blob, self._end = blob, self._start + size
        index = struct.iter_unpack(">IIII", blob[8 : self._start])
        self._index = {tag: (kind, self._start + place, count) for tag, kind, place, count in index}

    def text(self, tag: int) -> str | None:
        """Return a string, the first of several."""
        found = self._place(tag, _STRING, _STRING_ARRAY, _I18N_STRING)
        if found is None:
            return None
        end = self._blob.find(b"\0", found[0], self._end)
        if end < 0:
            raise Unreadable("RpmHeaderMalformed", "a text in an rpm header has no end")
        return text_of(self._blob[found[0] : end])

    def number(self, tag: int) -> int | None:
        """Return a 32-bit number, the first of several."""
        found = self._place(tag, _INT32)
        return None if found is None else self._number(found[0])

    def files(self, names: set[bytes]) -> Iterator[tuple[str, str]]:
        """Yield the path of each of the package's files that has one of `names`, and its digest in hexadecimal, if any."""
        bases, folders = self._place(_BASE_NAMES, _STRING_ARRAY), self._place(_DIR_NAMES, _STRING_ARRAY)
        indexes = self._place(_DIR_INDEXES, _INT32)
        if indexes is None or bases is None or folders is None:
            return
        known: list[bytes] | None = None
        digests: list[bytes] = []
        for number, name in enumerate(self._texts(*bases)):
            if name in names:
                if known is None:
                    known = self._texts(*folders)
                    digests = self._texts(*(self._place(_FILE_DIGESTS, _STRING_ARRAY) or (self._end, 0)))
                folder = self._number(indexes[0] + 4 * number)
                if number >= indexes[1] or folder >= len(known):
                    raise Unreadable("RpmHeaderMalformed", "a file in an rpm header has no folder")
                digest = digests[number].decode(errors="replace") if number < len(digests) else ""
                yield (known[folder] + name).decode(errors="surrogateescape"), digest

    def _place(self, tag: int, *kinds: int) -> tuple[int, int] | None:
        """Return where the values of `tag` begin and how many there are."""
        if tag not in self._index:
            return None
        kind, place, count = self._index[tag]
        if kind not in kinds or not count or place >= self._end:
            raise Unreadable("RpmHeaderMalformed", f"tag {tag} of an rpm header leads out of it, or is of another type")
        return place, count

    def _number(self, at: int) -> int:
        if at + 4 > self._end:
            raise Unreadable("RpmHeaderMalformed", "a number in an rpm header lies outside it")
        (value,) = struct.unpack_from(">I", self._blob, at)
        return int(value)

    def _texts(self, at: int, count: int) -> list[bytes]:
        return self._blob[at : self._end].split(b"\0", count)[:count]


def package_of(blob: bytes) -> Package | None:
    """Return the package that a header tells of; None for a key, which rpm keeps among its packages."""
    header = Header(blob)
    name = header.text(_NAME) or ""
    if name == _KEY:
        return None
    epoch = header.number(_EPOCH)
    version = f"{header.text(_VERSION) or ''}-{header.text(_RELEASE) or ''}"
    package = Package(name, version if epoch is None else f"{epoch}:{version}", header.text(_ARCHITECTURE))
    source = _FILE_NAME.fullmatch(header.text(_SOURCE_RPM) or "")
    # The file's name has no epoch: the same version without one is the same.
    return package if source is None else built_from(package, source[1], None if source[2] == version else source[2])
