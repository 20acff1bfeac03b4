# SPDX-License-Identifier: AGPL-3.0-or-later
"""Metadata blocks of an XFS while its log is replayed: the disk's sectors, over them what changed, and how old a block is.

Source: XFS Algorithms and Data Structures, 3rd edition: the headers of version 5 that bear a sequence number and a UUID.
"""

import struct

from filesystems.xfs_geometry import Geometry
from filesystems.xfs_log import NOT_REPLAYED, SECTOR_BYTES
from findings import Unreadable
from part import Part

_SECTORS_MAX = 128 * 1024
"""64 MiB of changed metadata."""
_WRITTEN_BYTES_MAX = 512 * 2**20
"""What may be written to them in all: new inodes take many times what the log says of them."""
_NEVER = 2**64 - 1

_STAMPS = {
    **dict.fromkeys((b"AB3B", b"AB3C", b"IAB3", b"FIB3", b"RMB3", b"R3FC"), (24, 32)),
    b"BMA3": (32, 40),
    b"XAGF": (208, 64),
    b"XAFL": (24, 8),
    b"XAGI": (320, 296),
    b"XSLM": (48, 16),
    **dict.fromkeys((b"XDB3", b"XDD3", b"XDF3"), (16, 24)),
    b"XFSB": (240, 32),
}
"""By the magic of a block: where its sequence number lies, and where its UUID."""
_STAMPS_OF_TREES = dict.fromkeys((b"\x3d\xf1", b"\x3d\xff", b"\x3e\xbe", b"\x3b\xee"), (24, 32))
"""The same of directories' and attributes' trees, whose magic lies at 8."""
_TREES = (b"AB3B", b"AB3C", b"IAB3", b"FIB3", b"RMB3", b"R3FC", b"BMA3")
_MAGICS = {
    4: (0, _TREES), 5: (0, (b"XAGF",)), 6: (0, (b"XAFL",)), 7: (0, (b"XAGI",)), 8: (0, (b"IN",)), 9: (0, (b"XSLM",)),
    10: (0, (b"XDB3",)), 11: (0, (b"XDD3",)), 12: (0, (b"XDF3",)), 13: (8, (b"\x3d\xf1",)), 14: (8, (b"\x3d\xff",)),
    15: (8, (b"\x3e\xbe",)), 16: (8, (b"\x3b\xee",)), 17: (0, (b"XARM",)), 18: (0, (b"XFSB",)),
}  # fmt: skip
"""By the type that a logged buffer is said to have: where its magic lies, and what it may be."""


class Buffers:
    """What is on the disk, with what the log changed; places are bytes from the file system's beginning."""

    def __init__(self, part: Part, geometry: Geometry, newest_lsn: int) -> None:
        self._part, self._geometry, self._newest_lsn = part, geometry, newest_lsn
        self.sectors: dict[int, bytes | int] = {}
        """The changed sectors by number."""
        self._unstamped: dict[int, None] = {}
        self._written_bytes = 0

    def read(self, at: int, length: int) -> bytes:
        """Return `length` bytes as they are now."""
        first, end = at // SECTOR_BYTES, -(-(at + length) // SECTOR_BYTES)
        if not any(number in self.sectors for number in range(first, end)):
            return self._disk(at, length)
        pieces = [self._sector(number) for number in range(first, end)]
        return b"".join(pieces)[at - first * SECTOR_BYTES :][:length]

    def write(self, at: int, data: bytes | bytearray) -> None:
        """Change `data`'s length of bytes."""
        self._written_bytes += len(data)
        first, end = at // SECTOR_BYTES, -(-(at + len(data)) // SECTOR_BYTES)
        before, behind = at - first * SECTOR_BYTES, end * SECTOR_BYTES - at - len(data)
        whole = bytes(data)
        if before:
            whole = self._sector(first)[:before] + whole
        if behind:
            whole += self._sector(end - 1)[SECTOR_BYTES - behind :]
        for number in range(first, end):
            self.sectors[number] = whole[(number - first) * SECTOR_BYTES : (number - first + 1) * SECTOR_BYTES]
        if len(self.sectors) > _SECTORS_MAX or self._written_bytes > _WRITTEN_BYTES_MAX:
            raise Unreadable(NOT_REPLAYED, f"it changes more than {_SECTORS_MAX * SECTOR_BYTES} bytes, or those too often")

    def place(self, sector: int, sectors: int) -> int:
        """Return where a buffer lies; raises `Unreadable` for one outside the file system, or in the log itself."""
        at, end, log_at = sector * SECTOR_BYTES, (sector + sectors) * SECTOR_BYTES, self._geometry.log_at or 0
        if sector < 0 or sectors <= 0 or end > self._part.size:
            raise Unreadable(NOT_REPLAYED, "it changes what does not lie in the file system")
        if at < log_at + self._geometry.log_sectors * SECTOR_BYTES and end > log_at:
            raise Unreadable(NOT_REPLAYED, "it changes itself")
        return at

    def is_newer(self, at: int, lsn: int) -> bool:
        """Tell whether the block at `at` has all that the transaction `lsn` changed: only version 5 can tell."""
        header = self.read(at, SECTOR_BYTES)
        stamp = self._stamp(header)
        if stamp is None or header[stamp[1] : stamp[1] + 16] != self._geometry.metadata_uuid:
            return False
        (own,) = struct.unpack_from(">Q", header, stamp[0])
        if own in (0, _NEVER):
            return False
        if own > self._newest_lsn:
            raise Unreadable(NOT_REPLAYED, "a block is newer than all of it")
        return bool(own >= lsn)

    def changed(self, at: int, kind: int) -> None:
        """Note that a transaction changed the block at `at`, said to be of `kind`; raises `Unreadable` if it is not."""
        if not self._geometry.is_version_5:
            return
        magic_at, magics = _MAGICS.get(kind, (0, ()))
        if not self.read(at, 16).startswith(magics, magic_at):
            raise Unreadable(NOT_REPLAYED, "a block is not of the kind that it is said to be")
        self._unstamped[at] = None

    def stamp(self, lsn: int) -> None:
        """Give the blocks that changed since the last call their sequence number, as writing them would."""
        for at in self._unstamped:
            stamp = self._stamp(self.read(at, SECTOR_BYTES))
            if stamp is not None:
                self.write(at + stamp[0], struct.pack(">Q", lsn))
        self._unstamped.clear()

    def _stamp(self, header: bytes) -> tuple[int, int] | None:
        if not self._geometry.is_version_5:
            return None
        found = _STAMPS.get(header[:4]) or _STAMPS_OF_TREES.get(header[8:10])
        is_own = header[:4] == b"XFSB" and self._geometry.metadata_uuid != self._geometry.uuid
        return (240, 248) if is_own else found

    def _disk(self, at: int, length: int) -> bytes:
        data = self._part.at(at, length)
        if len(data) != length:
            raise Unreadable(NOT_REPLAYED, "it changes what does not lie in the file system")
        return data

    def _sector(self, number: int) -> bytes:
        held = self.sectors.get(number)
        return held if isinstance(held, bytes) else self._disk(number * SECTOR_BYTES, SECTOR_BYTES)
