"""Logs of an XFS written by hand: operations, transactions and records, laid behind what a real log holds.

Source: XFS Algorithms and Data Structures, 3rd edition, "Journaling Log".
"""

import struct
from collections.abc import Iterable, Iterator

from tests.inspector.memory import facts_of

from checksums import crc32c  # isort: skip
from filesystems.replayed import ReplayedPart  # isort: skip
from filesystems.xfs_geometry import Geometry  # isort: skip
from filesystems.xfs_log import Log  # isort: skip
from part import Part  # isort: skip

assert facts_of
START, COMMIT, CONTINUES, CONTINUED, END = 1, 2, 4, 8, 16
BUFFER, INODE, CREATION = 0x123C, 0x123B, 0x123F
_NUMBERS = (
    *((0, 2), (2, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 2), (22, 2), (24, 8), (32, 8), (40, 8), (48, 8), (56, 8), (64, 8)),
    *((72, 4), (76, 4), (80, 2), (84, 4), (88, 2), (90, 2), (92, 4), (104, 8), (112, 8), (120, 8), (128, 4), (144, 8), (152, 8)),
)
"""Where an inode's numbers lie and how long they are: what its log has the other way round."""


def operation(flags: int, data: bytes = b"", *, number: int = 7, client: int = 0x69) -> bytes:
    """An operation of a transaction."""
    return struct.pack(">IIBBH", number, len(data), client, flags, 0) + data


def transaction(*items: Iterable[bytes], number: int = 7) -> list[bytes]:
    """The operations of a whole transaction."""
    regions = [b"NART" + struct.pack("<III", 40, number, len(items)), *(region for item in items for region in item)]
    return [
        operation(START, number=number),
        *(operation(0, one, number=number) for one in regions),
        operation(COMMIT, number=number),
    ]


def buffer_item(sector: int, sectors: int, chunks: dict[int, bytes], *, flags: int = 0, kind: int = 0) -> list[bytes]:
    """A buffer's item: by the number of its chunk of 128 bytes, what is logged of it."""
    words = struct.pack("<I", sum(1 << chunk for chunk in chunks))
    head = struct.pack("<HHHHqI", BUFFER, 1 + len(chunks), flags | kind << 11, sectors, sector, 1)
    return [head + words, *chunks.values()]


def logged_inode(inode: bytes) -> bytes:
    """An inode of version 3 as a log holds it: its numbers little-endian."""
    swapped = bytearray(inode[:176])
    for at, length in _NUMBERS:
        swapped[at : at + length] = inode[at : at + length][::-1]
    return bytes(swapped)


def inode_item(sector: int, at: int, core: bytes, *forks: bytes, fields: int = 1) -> list[bytes]:
    """An inode's item: where its buffer of 32 sectors lies, where it is in there."""
    return [struct.pack("<HHIHHIQ16xqii", INODE, 2 + len(forks), fields, 0, 0, 0, 0, sector, 32, at), core, *forks]


def intent(kind: int, number: int) -> list[bytes]:
    """An intent's item, or that it was done."""
    return [struct.pack("<HHIQ", kind, 1, 1, number) + bytes(32)]


def record(
    lsn: int, tail_lsn: int, operations: list[bytes], uuid: bytes, *, form: int = 1, crc: int | None = None, end: int = 2**32
) -> bytes:
    """A record of version 2 whose cycle and place are in `lsn`, in a log that ends at the sector `end`."""
    body = b"".join(operations)
    padded = bytearray(body.ljust(-(-len(body) // 512) * 512, b"\0"))
    words = b"".join(padded[at : at + 4] for at in range(0, len(padded), 512)).ljust(256, b"\0")
    for at in range(0, len(padded), 512):
        padded[at : at + 4] = struct.pack(">I", (lsn >> 32) + ((lsn & 0xFFFFFFFF) + 1 + at // 512 >= end))
    start = struct.pack(">4sIIIQQ", b"\xfe\xed\xba\xbe", lsn >> 32, 2, len(body), lsn, tail_lsn)
    rest = struct.pack(">II256sI16sII", 0, len(operations), words, form, uuid, 32768, 0)
    found = crc32c(start + bytes(4) + rest + padded[: len(body)]) if crc is None else crc
    return (start + struct.pack("<I", found) + rest).ljust(512, b"\0") + padded


def sectors_of(at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield whole sectors of data by number, from `at` bytes."""
    for start in range(0, len(data), 512):
        yield (at + start) // 512, data[start : start + 512]


class Written:
    """A disk whose log is clean, and behind what that holds records of ours."""

    def __init__(self, part: Part) -> None:
        self.part, self.block = part, part.at(0, 512)
        self.geometry = Geometry(self.block)
        assert self.geometry.log_at is not None
        self._log_at: int = self.geometry.log_at
        words = {"version": 2, "uuid": self.geometry.uuid, "checked": True}
        log = Log(part, self._log_at, self.geometry.log_sectors, **words)  # type: ignore[arg-type]
        assert log.is_clean()
        self.lsn = 1 << 32 | log.head

    def with_records(self, *records: list[bytes], changed: dict[int, bytes] | None = None, **how: int) -> Part:
        """Return the disk with a record for each list of operations, and with sectors that are changed."""
        sectors: dict[int, bytes | int] = {**(changed or {})}
        lsn = self.lsn
        for operations in records:
            data = record(lsn, self.lsn, operations, self.geometry.uuid, **how)
            sectors.update(sectors_of(self._log_at + (lsn & 0xFFFFFFFF) * 512, data))
            lsn += len(data) // 512
        return ReplayedPart(self.part, 512, sectors)

    @staticmethod
    def log_of(block: bytes) -> int:
        """Return where the log of the file system with this super block lies, in bytes."""
        found = Geometry(block).log_at
        assert found is not None
        return found
