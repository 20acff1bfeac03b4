# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sections of an EFI program: a unified kernel image carries its kernel, initramfs and command line in them.

Sources: Microsoft, PE Format; UAPI Group, Unified Kernel Image. Forty bytes a section are not worth a library that reads all
of it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tree import Found

_SECTIONS_MAX = 96
_HEADERS_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Section:
    """A section's place in the file, in bytes."""

    offset: int
    length: int


def sections(found: Found) -> Mapping[str, Section]:
    """Return the sections of the program by name, those inside the file; none where it is no EFI program."""
    size, head = found.stat().size, found.read(_HEADERS_BYTES)
    if head[:2] != b"MZ" or len(head) < 0x40:
        return {}
    at = struct.unpack_from("<I", head, 0x3C)[0]
    if head[at : at + 4] != b"PE\0\0" or len(head) < at + 24:
        return {}
    count, optional_bytes = struct.unpack_from("<H12xH", head, at + 6)
    table = head[at + 24 + optional_bytes :][: 40 * min(count, _SECTIONS_MAX)]
    known: dict[str, Section] = {}
    for entry in (table[start : start + 40] for start in range(0, len(table) - 39, 40)):
        virtual_bytes, _, raw_bytes, offset = struct.unpack_from("<IIII", entry, 8)
        name, length = entry[:8].rstrip(b"\0").decode("ascii", "replace"), min(virtual_bytes or raw_bytes, raw_bytes)
        if offset + length <= size:
            known.setdefault(name, Section(offset, length))
    return known


def content(found: Found, section: Section | None, *, bytes_max: int = 16 * 1024) -> bytes:
    """Return the first bytes of a section, none where there is no such section."""
    if section is None:
        return b""
    file = found.open()
    file.seek(section.offset)
    return file.read(min(section.length, bytes_max))
