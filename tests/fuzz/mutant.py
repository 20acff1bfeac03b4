"""A mutant: a seed's name and what was changed in it; and the copy of a seed that mutants are made in."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

HOLE_STEP = 64 * 1024


@dataclass(frozen=True)
class Mutant:
    """Changes of the seed's file: bytes written at offsets, in their order, and then the size it is cut to, if it is."""

    seed: str
    patches: tuple[tuple[int, bytes], ...] = ()
    size: int | None = None

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {"seed": self.seed, "patches": [[at, data.hex()] for at, data in self.patches], "size": self.size}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Mutant":
        """Take what `as_document` gave."""
        patches = tuple((int(at), bytes.fromhex(data)) for at, data in document["patches"])
        return cls(document["seed"], patches, document["size"])


class Copy:
    """A file like the seed's, changed by `write` and `cut`, and as it was after `undo`."""

    def __init__(self, original: Path, path: Path) -> None:
        self.path, self.size = path, original.stat().st_size
        self._original: BinaryIO = original.open("rb")
        self._file = path.open("w+b", buffering=0)
        self._copy(0)
        self._protected: list[tuple[int, int]] = []
        self._patches: list[tuple[int, bytes]] = []
        self._cut: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._original.close()
        self._file.close()

    def _copy(self, start: int) -> None:
        """Make the file the original's from `start` on, holes left holes."""
        self._file.truncate(start)
        self._file.truncate(self.size)
        while start < self.size:
            try:
                start = os.lseek(self._original.fileno(), start, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                return
            piece = os.pread(self._original.fileno(), HOLE_STEP, start)
            if any(piece):
                os.pwrite(self._file.fileno(), piece, start)
            start += len(piece)

    def protect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Leave these ranges (offset, end) alone from now on."""
        self._protected = list(ranges)

    def read(self, at: int, length: int) -> bytes:
        """Return bytes as they are now."""
        return os.pread(self._file.fileno(), max(0, length), max(0, at))

    def original(self, at: int, length: int) -> bytes:
        """Return bytes as the seed has them."""
        return os.pread(self._original.fileno(), max(0, length), max(0, at))

    def write(self, at: int, data: bytes) -> None:
        """Change bytes inside the file, but for those that are protected."""
        end = min(at + len(data), self.size)
        for start, stop in self._free(at, end):
            piece = data[start - at : stop - at]
            if piece != self.read(start, len(piece)):
                os.pwrite(self._file.fileno(), piece, start)
                self._patches.append((start, piece))

    def _free(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        pieces = [(start, end)] if 0 <= start < end else []
        for low, high in self._protected:
            pieces = [
                (one, other)
                for begin, stop in pieces
                for one, other in ((begin, min(stop, low)), (max(begin, high), stop))
                if one < other
            ]
        yield from pieces

    def cut(self, size: int) -> None:
        """Make the file shorter."""
        self._cut = size

    def mutant(self, seed: str) -> Mutant:
        """Return what was changed, the file being cut now."""
        if self._cut is not None:
            self._file.truncate(self._cut)
        return Mutant(seed, tuple(self._patches), self._cut)

    def apply(self, mutant: Mutant) -> None:
        """Change the file as it says."""
        for at, data in mutant.patches:
            os.pwrite(self._file.fileno(), data, at)
            self._patches.append((at, data))
        if mutant.size is not None:
            self.cut(mutant.size)

    def undo(self) -> None:
        """Make the file the seed's again."""
        if self._cut is not None:
            self._copy(self._cut)
        for at, data in self._patches:
            os.pwrite(self._file.fileno(), self.original(at, len(data)), at)
        self._patches, self._cut = [], None


@contextmanager
def made(copy: Copy, mutant: Mutant) -> Iterator[Path]:
    """Give the mutant as a file."""
    copy.apply(mutant)
    copy.mutant(mutant.seed)
    try:
        yield copy.path
    finally:
        copy.undo()
