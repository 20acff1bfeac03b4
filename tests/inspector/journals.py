"""Journals of ext, by debugfs or written by hand so that each of their fields can lie."""

import contextlib
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.inspector.disks import tool
from tests.inspector.memory import facts_of

from checksums import crc32c  # isort: skip - the inspector's modules, by their bare names
from filesystems import open_file_system  # isort: skip
from filesystems.base import FileSystem  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip

assert facts_of
MAGIC = struct.pack(">I", 0xC03B3998)
DESCRIPTOR, COMMIT, SUPER_BLOCK, REVOKE = 1, 2, 4, 5
ESCAPED, SAME_UUID, LAST = 1, 2, 8


def debugfs(image: Path, *requests: str) -> str:
    """What debugfs says to requests, some of which may write."""
    done = subprocess.run(
        ["/sbin/debugfs", "-w", "-f", "-", str(image)],
        input="\n".join(requests) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def blocks_of(image: Path, file: str) -> list[int]:
    """Where the blocks of a file lie, as debugfs says."""
    done = subprocess.run(["/sbin/debugfs", "-R", f"blocks {file}", str(image)], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def replay_by_e2fsck(image: Path) -> Path:
    """Let e2fsck replay the journal, and do nothing else."""
    done = subprocess.run(["/sbin/e2fsck", "-y", "-E", "journal_only", str(image)], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stdout
    assert "recovering journal" in done.stdout
    return image


@dataclass(frozen=True)
class Transaction:
    """What is written where, and what is revoked; one that is not committed has no commit block."""

    writes: Sequence[tuple[int, bytes]] = ()
    revoked: Sequence[int] = ()
    committed: bool = True


@dataclass
class Journal:
    """The journal of the file system in `image`, written anew by `write`; `lies` go over fields of its super block."""

    image: Path
    block_bytes: int
    checksums: int = 0
    wide: bool = False
    start: int = 1
    sequence: int = 7
    tags_max: int = 40
    lies: Mapping[int, int] = field(default_factory=dict)
    uuid: bytes = bytes(range(16))

    def __post_init__(self) -> None:
        self.places = blocks_of(self.image, "<8>")
        self.first, self.last = 1, int.from_bytes(self.read(0)[16:20], "big")
        self.incompat = 1 | 2 * self.wide | {2: 8, 3: 16}.get(self.checksums, 0)

    def read(self, number: int) -> bytes:
        """Return a block of the journal."""
        with self.image.open("rb") as file:
            file.seek(self.places[number] * self.block_bytes)
            return file.read(self.block_bytes)

    def put(self, number: int, block: bytes) -> None:
        """Write a block of the journal."""
        assert len(block) == self.block_bytes
        with self.image.open("r+b") as file:
            file.seek(self.places[number] * self.block_bytes)
            file.write(block)

    def write(self, *transactions: Transaction) -> list[int]:
        """Write the log, and say in both super blocks that there is one; returns the numbers of its blocks."""
        at, used = self.start, []
        for number, transaction in enumerate(transactions):
            for block in self._blocks(transaction, self.sequence + number & 0xFFFFFFFF):
                self.put(at, block)
                used.append(at)
                at = at + 1 if at + 1 < self.last else self.first
        self.put(at, bytes(self.block_bytes))
        self.write_head()
        return used

    def write_head(self) -> None:
        """Write the super block, and say in the file system's that there is something to replay."""
        fields = {12: self.block_bytes, 16: self.last, 20: self.first, 24: self.sequence, 28: self.start, 64: 1}
        fields |= {36: int(self.checksums == 1), 40: self.incompat, 44: 0} | dict(self.lies)
        head = bytearray(MAGIC + struct.pack(">II", SUPER_BLOCK, 0)).ljust(self.block_bytes, b"\0")
        for at, value in fields.items():
            struct.pack_into(">I", head, at, value)
        head[48:64] = self.uuid
        if self.checksums > 1:
            head[80] = 4
            struct.pack_into(">I", head, 252, self._raw(bytes(head[:1024])))
        self.put(0, bytes(head))
        debugfs(self.image, "feature +needs_recovery")

    def _raw(self, data: bytes) -> int:
        return crc32c(data) ^ 0xFFFFFFFF

    def _tailed(self, block: bytes) -> bytes:
        """A descriptor or revoke block with its checksum."""
        if self.checksums < 2:
            return block.ljust(self.block_bytes, b"\0")
        block = block.ljust(self.block_bytes - 4, b"\0")
        return block + struct.pack(">I", self._raw(self.uuid + block + bytes(4)))

    def _blocks(self, transaction: Transaction, sequence: int) -> Iterator[bytes]:
        summed = b""
        if transaction.revoked:
            kind = ">Q" if self.wide else ">I"
            numbers = b"".join(struct.pack(kind, number) for number in transaction.revoked)
            yield self._tailed(MAGIC + struct.pack(">III", REVOKE, sequence, 16 + len(numbers)) + numbers)
        writes = list(transaction.writes)
        while writes:
            now, writes = writes[: self.tags_max], writes[self.tags_max :]
            described = [self.described(now, sequence), *(kept(content) for _, content in now)]
            summed += b"".join(described)
            yield from described
        if transaction.committed:
            yield self._commit(sequence, summed)

    def described(self, writes: Sequence[tuple[int, bytes]], sequence: int) -> bytes:
        """Return a descriptor block."""
        block = MAGIC + struct.pack(">II", DESCRIPTOR, sequence)
        for number, (target, content) in enumerate(writes):
            flags = ESCAPED * (content[:4] == MAGIC) | SAME_UUID * (number > 0) | LAST * (number == len(writes) - 1)
            checksum = self._raw(self.uuid + struct.pack(">I", sequence) + kept(content)) if self.checksums > 1 else 0
            low, high = target & 0xFFFFFFFF, target >> 32
            if self.checksums == 3:
                block += struct.pack(">IIII", low, flags, high, checksum)
            else:
                block += struct.pack(">IHH", low, checksum & 0xFFFF, flags) + struct.pack(">I", high) * self.wide
                block += bytes(2) * (self.checksums == 2)
            block += b"" if number else self.uuid
        return self._tailed(block)

    def _commit(self, sequence: int, summed: bytes) -> bytes:
        block = bytearray(MAGIC + struct.pack(">II", COMMIT, sequence)).ljust(self.block_bytes, b"\0")
        struct.pack_into(">QI", block, 48, 1_700_000_000 + sequence % 1000, 0)
        if self.checksums == 1:
            block[12:14] = b"\1\4"
            struct.pack_into(">I", block, 16, crc32_forwards(summed))
        elif self.checksums > 1:
            struct.pack_into(">I", block, 16, self._raw(self.uuid + bytes(block)))
        return bytes(block)


def kept(content: bytes) -> bytes:
    """A block as it lies in a log: what begins with the magic is escaped."""
    return bytes(4) + content[4:] if content[:4] == MAGIC else content


def crc32_forwards(data: bytes) -> int:
    """The CRC-32 of most significant bits first, not inverted at its end."""
    found = 0xFFFFFFFF
    for byte in data:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if found >> 31 else found << 1
    return found


def small(path: Path, *, block_bytes: int = 1024, mib: int | None = None, files: Mapping[str, bytes] | None = None) -> Path:
    """A file system with a journal, of 1,024 blocks unless it is large, and in it the file `data` of 64 blocks."""
    folder = path.with_name(path.name + ".files")
    for name, data in {"data": bytes(range(256)) * (block_bytes // 4), **(files or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    tool("truncate", "-s", f"{mib or 8 * block_bytes // 1024}M", path)
    tool("mke2fs", "-q", "-t", "ext4", "-b", str(block_bytes), "-d", folder, path)
    return path


Make = Callable[..., Journal]
KINDS = {
    "plain": (0, False, 1024),
    "64-bit": (0, True, 1024),
    "checksum v1": (1, False, 1024),
    "checksum v2": (2, False, 1024),
    "checksum v2, 64-bit": (2, True, 4096),
    "checksum v3": (3, True, 1024),
    "checksum v3, 4 KiB": (3, True, 4096),
}
"""Version of the checksums, whether numbers of blocks have 64 bits, how long a block is."""


@contextlib.contextmanager
def opened(image: Path) -> Iterator[FileSystem]:
    """The file system that fills a file."""
    with image.open("rb") as file:
        files = open_file_system(Part(file, 0, image.stat().st_size))
        assert files is not None
        yield files


def contents(image: Path) -> dict[str, tuple[object, bytes]]:
    """Every file with its inode and content."""
    with opened(image) as files:
        assert files.unfinished is None
        found = Tree(files).walk()
        return {one.path: (said, one.open().read() if said.kind == 0o100000 else b"") for one, said in found}


def unfinished(image: Path) -> str | None:
    """Why what its journal holds is not seen."""
    with opened(image) as files:
        return files.unfinished


def block(journal: Journal, text: bytes) -> bytes:
    """A block that begins with a text."""
    return text.ljust(journal.block_bytes, b".")


def replayed_alike(journal: Journal, folder: Path) -> None:
    """Every block but the journal's is what e2fsck leaves; of the super block it changes more than the journal says."""
    reference = replay_by_e2fsck(Path(shutil.copy(journal.image, folder / "reference"))).read_bytes()
    with opened(journal.image) as files:
        assert files.unfinished is None
        found = bytearray(files._part.at(0, len(reference)))  # type: ignore[attr-defined]
    size, expected = journal.block_bytes, bytearray(reference)
    for one in (found, expected):
        one[1024:2048] = bytes(1024)
        for number in journal.places:
            one[number * size : (number + 1) * size] = bytes(size)
    assert found == expected


def flip(number: int, at: int) -> Callable[[Journal], None]:
    """Change a byte of a block of the journal."""

    def harm(made: Journal) -> None:
        block = bytearray(made.read(number))
        block[at] ^= 0x40
        made.put(number, bytes(block))

    return harm
