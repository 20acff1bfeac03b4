"""Hives as a system leaves them that was not shut down: with the logs that hold what was not written back."""

import io
import struct

from tests.inspector.windows_registry import SERVICES, SYSTEM, Keys, changed, checksum, hive
from windows.hive import Hive
from windows.hive_logs import Log, _marvin32

MANY: Keys = {f"Many\\key {number:04d}": {"number": number} for number in range(1200)}


def opened(data: bytes, *logs: bytes) -> Hive:
    return Hive("/hive", io.BytesIO(data), len(data), tuple(Log(f"/log{number}", log) for number, log in enumerate(logs)))


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return a hive with bytes changed and its checksum right again."""
    found = bytearray(data)
    found[at : at + len(new)] = new
    struct.pack_into("<I", found, 508, checksum(bytes(found)))
    return bytes(found)


def base_block(data: bytes, kind: int, sequence: int) -> bytes:
    """Return the copy of a hive's base block that a log begins with."""
    base = bytearray(data[:512])
    struct.pack_into("<II", base, 4, sequence, sequence)
    struct.pack_into("<I", base, 28, kind)
    struct.pack_into("<I", base, 508, checksum(bytes(base)))
    return bytes(base)


def pages(before: bytes, after: bytes, size: int) -> list[tuple[int, bytes]]:
    """Return the pages of the hive bins that differ."""
    found = range(0, len(after) - 4096, size)
    return [(at, after[4096 + at :][:size]) for at in found if before[4096 + at :][:size] != after[4096 + at :][:size]]


def entry(changes: list[tuple[int, bytes]], sequence: int, bins: int) -> bytes:
    """Return an entry of a log of Windows 8.1 and later."""
    references = b"".join(struct.pack("<II", at, len(page)) for at, page in changes)
    body = references + b"".join(page for _, page in changes)
    size = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(size - 40, b"\0")
    head = struct.pack("<4sIIIIIQ", b"HvLE", size, 0, sequence, bins, len(changes), _marvin32(body))
    return head + struct.pack("<Q", _marvin32(head)) + body


def old_log(before: bytes, after: bytes) -> bytes:
    """Return a log of Windows 8 and before: a map of dirty pages of 512 bytes, then the pages."""
    changes = dict(pages(before, after, 512))
    bits = bytearray((len(after) - 4096) // 512 // 8)
    for at in changes:
        bits[at // 512 // 8] |= 1 << at // 512 % 8
    marks = b"DIRT" + bits
    return base_block(after, 1, 9) + marks.ljust(-(-len(marks) // 512) * 512, b"\0") + b"".join(changes.values())


DIRTY = hive(SYSTEM, sequences=(9, 8))
SECOND = hive(changed(SYSTEM, (f"{SERVICES}\\viostor", {"Start": 3})))
THIRD = hive(changed(SYSTEM, (f"{SERVICES}\\viostor", {"Start": 4})))
GROWN = hive({**SYSTEM, **MANY})
BINS = len(DIRTY) - 4096
ONE, TWO = entry(pages(DIRTY, SECOND, 4096), 8, BINS), entry(pages(SECOND, THIRD, 4096), 9, BINS)
