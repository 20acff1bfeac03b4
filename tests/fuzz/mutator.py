"""Changes at random, where the inspector reads: what it never reads need not be changed.

What is read is found by letting it read the seed once; a range is chosen by its place in the list of different reads, so that the
many small ones (headers, tables, inodes, directory entries) are changed more often than the few large ones (files' contents).
"""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.fuzz.mutant import Copy, Mutant
from tests.fuzz.repairs import REPAIRS
from tests.fuzz.seeds import Seed

_WIDTHS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_CHANGES_MAX: Final = 8
_BLOCKS: Final = (16, 32, 64, 128, 256, 512, 1024, 4096)
_REPAIRED: Final = 0.8
_CUT: Final = 0.03
_FROM_POOL: Final = 0.5
_POOL_MAX: Final = 200


@dataclass
class Mutator:
    """Makes mutants of one seed in `copy`; `others` are copies of other seeds with what is read of them, to take pieces from."""

    seed: Seed
    copy: Copy
    reads: Sequence[tuple[int, int]]
    random: random.Random
    others: Sequence[tuple[Copy, Sequence[tuple[int, int]]]] = ()
    pool: list[Mutant] = field(default_factory=list)
    _signatures: set[object] = field(default_factory=set)

    def make(self) -> Mutant:
        """Change the copy, and return what was changed; the copy is the mutant until its `undo`."""
        if self.pool and self.random.random() < _FROM_POOL:
            self.copy.apply(self.random.choice(self.pool))
        for _ in range(min(_CHANGES_MAX, 1 + int(self.random.expovariate(0.7)))):
            self._change()
        if self.random.random() < _REPAIRED:
            for name in self.seed.repairs:
                REPAIRS[name](self.copy)
        if self.random.random() < _CUT:
            at, length = self._range()
            self.copy.cut(min(self.copy.size - 1, at + self.random.choice((0, 1, length // 2, max(0, length - 1), length))))
        return self.copy.mutant(self.seed.name)

    def learn(self, mutant: Mutant, signature: object) -> bool:
        """Keep a mutant that the inspector says something new about, to change it further; returns whether it is new."""
        if signature in self._signatures:
            return False
        self._signatures.add(signature)
        if len(mutant.patches) <= 4 * _CHANGES_MAX and mutant.size is None:
            if len(self.pool) >= _POOL_MAX:
                self.pool.pop(self.random.randrange(len(self.pool)))
            self.pool.append(mutant)
        return True

    def _range(self) -> tuple[int, int]:
        return self.random.choice(self.reads)

    def _place(self, width: int) -> int:
        """Return a place in a range, aligned to its width from the range's start."""
        at, length = self._range()
        # Headers are at the start of what is read: half of the places are there.
        length = min(length, 256) if self.random.random() < 0.5 else length
        return at + self.random.randrange(max(1, length - width + 1)) // width * width

    def _change(self) -> None:
        ways = (self._flip, self._integer, self._integer, self._integer, self._pointer, self._block, self._fill, self._splice)
        self.random.choice(ways)()

    def _flip(self) -> None:
        at = self._place(1)
        self.copy.write(at, bytes([self.copy.read(at, 1)[0] ^ (1 << self.random.randrange(8))]) if at < self.copy.size else b"")

    def _integer(self) -> None:
        """An extreme integer, or one that is a little beside what is there."""
        width = self.random.choice((1, 2, 2, 4, 4, 4, 8, 8))
        order = self.random.choice("<>") + _WIDTHS[width]
        at, bits = self._place(width), 8 * width
        there = self.copy.read(at, width)
        now = struct.unpack(order, there)[0] if len(there) == width else 0
        top = 1 << self.random.randrange(bits)
        values = (
            0,
            1,
            -1,
            top,
            top - 1,
            top + 1,
            now + 1,
            now - 1,
            now * 2,
            now // 2,
            ~now,
            now ^ top,
            now + top,
            self.copy.size,
        )
        self.copy.write(at, struct.pack(order, self.random.choice(values) % (1 << bits)))

    def _pointer(self) -> None:
        """A number that is somewhere else in what is read: blocks and inodes that name each other wrongly."""
        width = self.random.choice((2, 4, 4, 8))
        self.copy.write(self._place(width), self.copy.read(self._place(width), width))

    def _block(self) -> None:
        """A block put over another one, or both exchanged."""
        size = self.random.choice(_BLOCKS)
        one, other = self._place(size), self._place(size)
        first, second = self.copy.read(one, size), self.copy.read(other, size)
        self.copy.write(one, second)
        if self.random.random() < 0.5:
            self.copy.write(other, first)

    def _fill(self) -> None:
        size = self.random.choice(_BLOCKS[:-2])
        noise = self.random.randbytes(size)
        pattern = self.random.choice((b"\0", b"\xff", b"\x01\0", b"\x7f\xff\xff\xff", noise[:4], noise))
        self.copy.write(self._place(4), (pattern * size)[:size])

    def _splice(self) -> None:
        """A piece of another seed."""
        if not self.others:
            return
        copy, reads = self.random.choice(self.others)
        at, length = self.random.choice(reads)
        size = min(length, self.random.choice(_BLOCKS))
        self.copy.write(self._place(4), copy.original(at, size))
