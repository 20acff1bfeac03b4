# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is in an initramfs: cpio archives one behind another, each plain or compressed.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst. Microcode comes first in a plain archive; dracut,
initramfs-tools and mkinitcpio add the compressed one behind it. Read as a stream and not unpacked, which cpio libraries do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from findings import Unreadable
from forward import Forward
from linux.compression import Budget, Source, Unpacked, format_of

ARCHIVES_MAX = 16
ENTRIES_MAX = 500_000
_HEADER_BYTES = 110
_MAGICS = (b"070701", b"070702")
_NAME_BYTES_MAX = 4096
_END = "TRAILER!!!"
_READ_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an initramfs: its path without a leading slash, and its content where that was asked for."""

    path: str
    content: bytes = b""


def members(source: Source, budget: Budget, *, contents: frozenset[str] = frozenset()) -> Iterator[Member]:
    """Yield the members of every archive; files whose name is in `contents` with their content, cut at 1 MiB.

    Raises `Unreadable` for what Linux would not unpack either.
    """
    left = ENTRIES_MAX
    for _ in range(ARCHIVES_MAX):
        start = _after_padding(source)
        if not start:
            return
        name = None if start.startswith(_MAGICS) else format_of(start)
        if name is None and not start.startswith(_MAGICS):
            raise Unreadable("NoInitramfs", f"neither cpio nor a compression that is known: {start[:6].hex()}")
        stream: Forward = source if name is None else Unpacked(source, name, budget)
        for member in _archive(stream, contents):
            left -= 1
            if left < 0:
                raise Unreadable("TooManyEntries", f"more than {ENTRIES_MAX} files")
            yield member
        if name is not None:
            # What follows the trailer inside the frame is padding; the next archive is behind the frame.
            while stream.skip(_READ_BYTES_MAX):
                pass
    raise Unreadable("TooManyArchives", f"more than {ARCHIVES_MAX} archives one behind another")


def _after_padding(source: Source) -> bytes:
    """Return the start of what follows the zeros, and leave the source there."""
    while data := source.read(4096):
        rest = data.lstrip(b"\0")
        if rest:
            if len(rest) < 16:
                rest += source.read(4096)
            source.put_back(rest)
            return rest[:16]
    return b""


def _archive(stream: Forward, contents: frozenset[str]) -> Iterator[Member]:
    while True:
        header = _exactly(stream, _HEADER_BYTES)
        if not header.startswith(_MAGICS):
            raise Unreadable("CpioDamaged", "a cpio header without its magic number")
        try:
            size, name_size = int(header[54:62], 16), int(header[94:102], 16)
        except ValueError:
            raise Unreadable("CpioDamaged", "a cpio header with fields that are no numbers") from None
        if not 0 < name_size <= _NAME_BYTES_MAX:
            raise Unreadable("CpioDamaged", f"a cpio member with a name of {name_size} bytes")
        padded = name_size + -(_HEADER_BYTES + name_size) % 4
        path = _exactly(stream, padded)[: name_size - 1].decode("utf-8", "surrogateescape")
        if path == _END:
            return
        path = path.removeprefix("./").lstrip("/")
        content = _exactly(stream, min(size, _READ_BYTES_MAX)) if path.rpartition("/")[2] in contents else b""
        rest = size + -size % 4 - len(content)
        if stream.skip(rest) != rest:
            raise Unreadable("Truncated", "the initramfs ends too early")
        yield Member(path, content)


def _exactly(stream: Forward, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise Unreadable("Truncated", "the initramfs ends too early")
    return data
