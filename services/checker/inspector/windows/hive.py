# SPDX-License-Identifier: AGPL-3.0-or-later
"""Registry hives: keys by path, values by name. Source: M. Suhanov, Windows registry file format specification.

Our own: dissect.regf takes 23 µs for each of the 10^5 cells that a server's list of packages has, follows index roots into each
other without end, compares names in index leaves by case and knows no logs; regipy wants a path and a whole hive in memory. Here
each cell that is read costs a step, and so does each block of the file, so that a forged hive ends in bounded time and memory.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from findings import Evidence, Unreadable
from windows.hive_logs import Log, Recovery, recovery

HIVE_BYTES_MAX = 512 * 2**20
STEPS_MAX = 1_000_000
CELL_BYTES_MAX = 2 * 2**20
VALUE_BYTES_MAX = 2**20
_NAME_CHARACTERS_MAX = 512
_BLOCK_BYTES = 16 * 1024
_BLOCKS_KEPT = 1024
_BLOCK_STEPS = 16
_STEP_BYTES = 512
_STEP_ENTRIES = 16
_BASE_BYTES = 4096
_DEPTH_MAX = 64
_BIG_DATA_BYTES, _BIG_DATA_MINOR = 16344, 4
_NOTHING = 0xFFFFFFFF
_SIZE = struct.Struct("<i").unpack_from
_KEY = struct.Struct("<2xH16xI4xI4xII28xH").unpack_from
_VALUE = struct.Struct("<2xHIIIH").unpack_from
_LEAF_ENTRY = {b"li": struct.Struct("<I"), b"lf": struct.Struct("<II"), b"lh": struct.Struct("<II")}
REG_SZ, REG_EXPAND_SZ, REG_DWORD, REG_DWORD_BE, REG_MULTI_SZ, REG_QWORD = 1, 2, 4, 5, 7, 11


class Value(NamedTuple):
    """A value: its name, its type (REG_SZ and so on), its bytes."""

    name: str
    type: int
    data: bytes

    @property
    def text(self) -> str | None:
        """Return the text of REG_SZ and REG_EXPAND_SZ up to its first zero; None for other types."""
        return _text(self.data) if self.type in (REG_SZ, REG_EXPAND_SZ) else None

    @property
    def texts(self) -> tuple[str, ...] | None:
        """Return the texts of REG_MULTI_SZ, or the one of REG_SZ; None for other types."""
        if self.type == REG_MULTI_SZ:
            return tuple(one for one in self.data.decode("utf-16-le", "replace").split("\0") if one)
        return None if self.text is None else (self.text,) if self.text else ()

    @property
    def number(self) -> int | None:
        """Return the number of REG_DWORD and REG_QWORD; None for other types and for one that is cut off."""
        size = {REG_DWORD: 4, REG_DWORD_BE: 4, REG_QWORD: 8}.get(self.type)
        if size is None or len(self.data) < size:
            return None
        return int.from_bytes(self.data[:size], "big" if self.type == REG_DWORD_BE else "little")

    @property
    def told(self) -> str:
        """Return name and content in words, for evidence."""
        found = self.number if self.number is not None else self.texts
        said = f"{len(self.data)} bytes" if found is None else ", ".join(found) if isinstance(found, tuple) else str(found)
        return f"{self.name} = {said}"


class Hive:
    """A hive whose base block makes sense, with what its logs hold of it applied. Raises `Unreadable` for one that does not."""

    def __init__(self, path: str, file: BinaryIO, size: int, logs: tuple[Log, ...] = ()) -> None:
        self.path, self._file, self._size = path, file, size
        if size > HIVE_BYTES_MAX:
            raise Unreadable("HiveTooLarge", f"{path} has more than {HIVE_BYTES_MAX >> 20} MiB")
        base = self._raw(0, _BASE_BYTES)
        if base[:4] != b"regf" or len(base) < _BASE_BYTES:
            raise Unreadable("HiveMalformed", f"{path} is no registry hive")
        if _checksum(base) != struct.unpack_from("<I", base, 508)[0]:
            raise Unreadable("HiveMalformed", f"the checksum of {path}'s base block is wrong")
        major, self._minor = struct.unpack_from("<II", base, 20)
        if major != 1 or not 3 <= self._minor <= 6:
            raise Unreadable("HiveMalformed", f"{path} is a hive of version {major}.{self._minor}, which nobody knows")
        self.recovery: Recovery = recovery(path, base, logs)
        self._root, bins = struct.unpack_from("<II", self.recovery.base or base, 36)
        self._bins = self.recovery.bins_bytes or bins
        patched = max((at + len(data) for at, data in self.recovery.pages), default=0)
        if self._bins < 4096 or self._bins % 4096 or _BASE_BYTES + self._bins > max(size, _BASE_BYTES + patched):
            raise Unreadable("HiveMalformed", f"{path} is cut off: {size} bytes of {_BASE_BYTES + self._bins}")
        self._steps_left = STEPS_MAX
        self._patches = _by_block(self.recovery.pages)
        self._block = lru_cache(_BLOCKS_KEPT)(self._read_block)

    def _raw(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(min(length, max(0, self._size - at)))

    def spend(self, steps: int) -> None:
        """Count steps; raises `Unreadable` when there were more than any real hive takes."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise Unreadable("HiveTooMuch", f"looking things up in {self.path} takes more steps than in any real hive")

    def _read_block(self, number: int) -> bytes:
        self.spend(_BLOCK_STEPS)
        at = number * _BLOCK_BYTES
        data = bytearray(self._raw(_BASE_BYTES + at, _BLOCK_BYTES).ljust(_BLOCK_BYTES, b"\0"))
        for start, page in self._patches.get(number, ()):
            low, high = max(start, at), min(start + len(page), at + _BLOCK_BYTES)
            if low < high:
                data[low - at : high - at] = page[low - start : high - start]
        return bytes(data)

    def _at(self, at: int, length: int) -> bytes:
        """Read from the hive bins, whose first byte is number 0 for every offset in a hive."""
        number, within = divmod(at, _BLOCK_BYTES)
        if within + length <= _BLOCK_BYTES:
            return self._block(number)[within : within + length]
        pieces = [self._block(number)[within:]]
        left = length - len(pieces[0])
        while left > 0:
            number += 1
            pieces.append(self._block(number)[:left])
            left -= _BLOCK_BYTES
        return b"".join(pieces)

    def cell(self, offset: int) -> bytes:
        """Return what is in the allocated cell at `offset`; raises `Unreadable` for an offset that leads nowhere."""
        if offset & 7 or not 32 <= offset <= self._bins - 8:
            raise Unreadable("HiveMalformed", f"{self.path} names a cell at {offset:#x}, where none can be")
        number, within = divmod(offset, _BLOCK_BYTES)
        block = self._block(number)
        size = -_SIZE(block, within)[0]
        if not 8 <= size <= CELL_BYTES_MAX or size > self._bins - offset:
            raise Unreadable("HiveMalformed", f"{self.path} names a cell of {size} bytes at {offset:#x}")
        self._steps_left -= 1 + size // _STEP_BYTES
        if self._steps_left < 0:
            self.spend(0)
        end = within + size
        return block[within + 4 : end] if end <= _BLOCK_BYTES else self._at(offset + 4, size - 4)

    def check_bins(self) -> None:
        """Raise `Unreadable` unless the bins lie one after the other to the end, as a kernel demands when it loads a hive."""
        at = 0
        while at < self._bins:
            header = self._at(at, 12)
            magic, own, size = struct.unpack("<4sII", header)
            if magic != b"hbin" or own != at or size < 4096 or size % 4096 or at + size > self._bins:
                raise Unreadable("HiveMalformed", f"{self.path} has no hive bin at {at:#x} that makes sense")
            at += size
            # Bounded by the hive's size, and every bin of a real one is passed: it costs the look-ups nothing.
            self._steps_left = STEPS_MAX

    @property
    def root(self) -> "Key":
        """The top key."""
        return Key(self, self._root, "")

    def key(self, path: str) -> "Key | None":
        """Return the key at `path`, whose steps are joined by backslashes; None if there is none."""
        return self.root.key(path)

    def value(self, offset: int) -> Value:
        """Return the value in the cell at `offset`."""
        cell = self.cell(offset)
        if cell[:2] != b"vk" or len(cell) < 20:
            raise Unreadable("HiveMalformed", f"{self.path} has no value at {offset:#x}")
        name_bytes, size, data, kind, flags = _VALUE(cell)
        name = _name(cell[20 : 20 + name_bytes], is_compressed=bool(flags & 1))
        if size & 0x80000000:
            return Value(name, kind, cell[8 : 8 + min(4, size & 0x7FFFFFFF)])
        if size > VALUE_BYTES_MAX:
            raise Unreadable("HiveMalformed", f"{self.path} has a value of {size} bytes")
        if not size:
            return Value(name, kind, b"")
        if size > _BIG_DATA_BYTES and self._minor >= _BIG_DATA_MINOR:
            return Value(name, kind, self._big_data(data, size))
        return Value(name, kind, self.cell(data)[:size])

    def _big_data(self, offset: int, size: int) -> bytes:
        cell = self.cell(offset)
        if cell[:2] != b"db" or len(cell) < 8:
            raise Unreadable("HiveMalformed", f"{self.path} has no large value at {offset:#x}")
        count, places = struct.unpack_from("<HI", cell, 2)
        wanted = min(count, -(-size // _BIG_DATA_BYTES))
        offsets = struct.unpack_from(f"<{wanted}I", self.cell(places))
        return b"".join(self.cell(one)[:_BIG_DATA_BYTES] for one in offsets)[:size]


class Key:
    """A key of a hive: `path` as its makers write it, without the hive's own name."""

    __slots__ = ("_count", "_list", "_values", "_values_at", "hive", "name", "path")

    def __init__(self, hive: Hive, offset: int, above: str, *, is_root: bool = True) -> None:
        cell = hive.cell(offset)
        if cell[:2] != b"nk" or len(cell) < 76:
            raise Unreadable("HiveMalformed", f"{hive.path} has no key at {offset:#x}")
        self.hive = hive
        flags, self._count, self._list, self._values, self._values_at, length = _KEY(cell)
        self.name = _name(cell[76 : 76 + length], is_compressed=bool(flags & 0x20))
        self.path = "" if is_root else f"{above}\\{self.name}".lstrip("\\")

    def key(self, path: str) -> "Key | None":
        """Return the key at `path` beneath this one; None if there is none."""
        found: Key | None = self
        for step in path.split("\\")[:_DEPTH_MAX]:
            found = None if found is None else found.subkey(step)
        return found

    def subkey(self, name: str) -> "Key | None":
        """Return the key called `name` right beneath; None if there is none."""
        wanted = name.upper()
        wanted_hash = _hash(wanted)
        for offset, known_hash in self._entries():
            # As a kernel looks keys up: by hash where the list has them, then by name.
            if known_hash is None or known_hash == wanted_hash:
                found = Key(self.hive, offset, self.path, is_root=False)
                if found.name.upper() == wanted:
                    return found
        return None

    def subkeys(self) -> Iterator["Key"]:
        """Yield the keys right beneath, in the order of their names."""
        for offset, _ in self._entries():
            yield Key(self.hive, offset, self.path, is_root=False)

    def _entries(self) -> Iterator[tuple[int, int | None]]:
        """Yield the subkeys' places with the hash of their names, where the list has it."""
        if not self._count or self._list == _NOTHING:
            return
        cell = self.hive.cell(self._list)
        if cell[:2] != b"ri":
            yield from self._leaf(cell)
            return
        count = struct.unpack_from("<H", cell, 2)[0]
        for (offset,) in struct.iter_unpack("<I", cell[4 : 4 + 4 * min(count, (len(cell) - 4) // 4)]):
            yield from self._leaf(self.hive.cell(offset))

    def _leaf(self, cell: bytes) -> Iterator[tuple[int, int | None]]:
        kind = cell[:2]
        layout = _LEAF_ENTRY.get(kind)
        if layout is None:
            raise Unreadable("HiveMalformed", f"{self.hive.path} has no list of keys beneath {self.path or 'its top'}")
        count = min(struct.unpack_from("<H", cell, 2)[0], (len(cell) - 4) // layout.size)
        self.hive.spend(count // _STEP_ENTRIES)
        for entry in layout.iter_unpack(cell[4 : 4 + count * layout.size]):
            yield entry[0], entry[1] if kind == b"lh" else None

    def values(self) -> Iterator[Value]:
        """Yield the values, in no order."""
        if not self._values or self._values_at == _NOTHING:
            return
        cell = self.hive.cell(self._values_at)
        count = min(self._values, len(cell) // 4)
        for (offset,) in struct.iter_unpack("<I", cell[: 4 * count]):
            yield self.hive.value(offset)

    def value(self, name: str) -> Value | None:
        """Return the value called `name`; None if there is none."""
        wanted = name.upper()
        return next((found for found in self.values() if found.name.upper() == wanted), None)

    def text(self, name: str) -> str | None:
        """Return the text of the value called `name`; None if there is none, or it is no text."""
        found = self.value(name)
        return None if found is None else found.text

    def number(self, name: str) -> int | None:
        """Return the number of the value called `name`; None if there is none, or it is no number."""
        found = self.value(name)
        return None if found is None else found.number

    def evidence(self, text: str | None = None) -> Evidence:
        """Return evidence of this key: the hive's path in the image, the key's in the hive, and what was found."""
        return Evidence(self.hive.path, text=self.path if text is None else f"{self.path}: {text}")


def _by_block(pages: tuple[tuple[int, bytes], ...]) -> dict[int, list[tuple[int, bytes]]]:
    found: dict[int, list[tuple[int, bytes]]] = {}
    for at, page in pages:
        for number in range(at // _BLOCK_BYTES, (at + len(page) - 1) // _BLOCK_BYTES + 1):
            found.setdefault(number, []).append((at, page))
    return found


def _name(data: bytes, *, is_compressed: bool) -> str:
    if is_compressed:
        return data[:_NAME_CHARACTERS_MAX].decode("latin-1")
    return data[: 2 * _NAME_CHARACTERS_MAX].decode("utf-16-le", "replace")


def _text(data: bytes) -> str:
    return data.decode("utf-16-le", "replace").partition("\0")[0]


def _hash(upper: str) -> int:
    found = 0
    for character in upper:
        found = (found * 37 + ord(character)) & 0xFFFFFFFF
    return found


def _checksum(base: bytes) -> int:
    """Return the checksum of a base block: its first 508 bytes, four by four, by exclusive or; two results are never written."""
    found = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        found ^= word
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(found, found)
