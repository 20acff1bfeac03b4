"""A dirty log of XFS: what Linux shows once it has replayed it, and what cannot be replayed, which is told.

data/xfs-dirty (Linux 6.18) and data/xfs-dirty-4 (Linux 6.1, version 4 with a log of version 1) are copies of disks that were
mounted, by `unshare --mount python -m tests.images.dirty_logs xfs-dirty FILE` as root; beside them, what Linux showed of a copy.
The suite of real disks has more of them (tests/images/test_xfs_log.py).
"""

import hashlib
import json
import lzma
import random
import stat
import struct
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.inspector import xfs_logs
from tests.inspector.disks import item, report_of
from tests.inspector.xfs_logs import Written, buffer_item, inode_item, intent, logged_inode, operation, sectors_of, transaction

from filesystems import xfs_log, xfs_log_buffers, xfs_transactions  # isort: skip
from filesystems.replayed import ReplayedPart  # isort: skip
from filesystems.xfs import XfsFileSystem  # isort: skip
from filesystems.xfs_log import Log  # isort: skip
from filesystems.xfs_recovery import recovered  # isort: skip
from findings import Unreadable, attempt  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip

DATA = Path(__file__).with_name("data")
Unpack = Callable[[str], Path]
UUID = bytes(range(16))


def shown_by_us(files: XfsFileSystem) -> dict[str, dict[str, object]]:
    """What `tests.images.dirty_logs.shown` says, as the inspector sees it."""
    found: dict[str, dict[str, object]] = {}
    for child, own in Tree(files).walk():
        said: dict[str, object] = {
            "kind": own.kind, "mode": own.permissions, "uid": own.uid, "gid": own.gid,
            "inode": files.identity(child.node), "mtime": own.mtime,
        }  # fmt: skip
        if own.kind == stat.S_IFREG:
            said |= {"size": own.size, "sha256": hashlib.sha256(child.open().read(own.size)).hexdigest()}
        if own.kind == stat.S_IFLNK:
            said["link"] = files.link_target(child.node)
        else:
            said["xattrs"] = {name: b64encode(value).decode() for name, value in sorted(files.xattrs(child.node).items())}
        found[child.path] = said
    return found


@pytest.fixture
def disk(by_linux: Unpack) -> Iterator[Callable[[str], Part]]:
    with ExitStack() as stack:

        def open_it(name: str) -> Part:
            path = by_linux(name)
            return Part(stack.enter_context(path.open("rb")), 0, path.stat().st_size)

        yield open_it


@pytest.fixture
def written(disk: Callable[[str], Part]) -> Written:
    return Written(disk("xfs"))


@pytest.mark.parametrize("name", ["xfs-dirty", "xfs-dirty-4"])
def test_what_linux_shows_once_it_has_replayed_the_log(disk: Callable[[str], Part], name: str) -> None:
    wanted = json.loads(lzma.decompress((DATA / f"{name}.json.xz").read_bytes()))
    files = XfsFileSystem(disk(name))
    assert files.unfinished is None
    assert shown_by_us(files) == wanted


async def test_a_log_is_replayed_in_the_confined_process(by_linux: Unpack) -> None:
    found = item(await report_of(by_linux("xfs-dirty")), "SystemImage")
    assert (found.level, found.code) == ("failed", "SystemImage.DataOnly")


def test_a_clean_log_costs_little(disk: Callable[[str], Part], monkeypatch: pytest.MonkeyPatch) -> None:
    part, read = disk("xfs"), list[int]()
    fetch = part._fetch
    monkeypatch.setattr(part, "_fetch", lambda at, length: read.append(length) or fetch(at, length))
    assert recovered(part, part.at(0, 512)) == (part, None)
    assert (len(read) < 40, sum(read) < 3 * 2**20) == (True, True)


def _ping(written: Written) -> tuple[bytes, int, int]:
    """The inode of a file, the sector where its buffer begins, and where in that it lies."""
    found = Tree(XfsFileSystem(written.part)).find_file("/usr/bin/ping")
    assert found is not None
    at = int(found.node.relative_inum) * 512 + found.node.ag.num * written.geometry.group_blocks * written.geometry.block_bytes
    sector = at // 512 // 32 * 32
    return written.part.at(at, 512), sector, at - sector * 512


def test_a_mode_that_only_the_log_holds_is_seen(written: Written) -> None:
    inode, sector, at = _ping(written)
    changed = inode[:2] + struct.pack(">H", stat.S_IFREG | 0o6755) + inode[4:]
    logged = inode_item(sector, at, logged_inode(changed))
    for operations, permissions in ((transaction(logged), 0o6755), (transaction(logged)[:-1], 0o644)):
        files = XfsFileSystem(written.with_records(operations))
        found = Tree(files).find_file("/usr/bin/ping")
        assert found is not None
        assert (files.unfinished, found.stat().permissions) == (None, permissions)


def test_an_entry_for_what_the_log_left_without_links(written: Written) -> None:
    """Linux frees such an inode once it has replayed the log, so that what the file says is gone."""
    inode, sector, at = _ping(written)
    logged = inode_item(sector, at, logged_inode(inode[:16] + bytes(4) + inode[20:]))
    with pytest.raises(Unreadable, match="without links"):
        Tree(XfsFileSystem(written.with_records(transaction(logged)))).find_file("/usr/bin/ping")


def test_copies_of_the_super_block_say_nothing(written: Written) -> None:
    """Linux reads the first alone: with another size of inodes in a copy, other inodes would be seen than it has."""
    wanted, size = shown_by_us(XfsFileSystem(written.part)), written.geometry.group_blocks * 4096
    blocks: dict[int, bytes | int] = {}
    for group in range(1, written.geometry.groups):
        block = written.part.at(group * size, 512)
        blocks[group * size // 512] = block[:104] + struct.pack(">H", 2048) + block[106:123] + b"\1\2" + block[125:]
    assert shown_by_us(XfsFileSystem(ReplayedPart(written.part, 512, blocks))) == wanted


def test_operations_that_go_on_in_the_next_record(written: Written) -> None:
    inode, sector, at = _ping(written)
    head, core = inode_item(sector, at, logged_inode(inode[:8] + struct.pack(">I", 4711) + inode[12:]))
    first = [*transaction([head])[:-1], operation(xfs_logs.CONTINUES, core[:100])]
    rest = [operation(xfs_logs.CONTINUED | xfs_logs.END, core[100:]), operation(xfs_logs.COMMIT)]
    found = Tree(XfsFileSystem(written.with_records(first, rest))).find_file("/usr/bin/ping")
    assert found is not None
    assert found.stat().uid == 4711


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_buffer_that_is_freed_later_is_not_changed(written: Written, is_cancelled: bool) -> None:
    label = bytearray(written.block[:128])
    label[108:120] = b"from-the-log"
    first = transaction(buffer_item(0, 1, {0: bytes(label)}, kind=18), number=1)
    cancel = transaction(buffer_item(0, 1, {}, flags=2), number=2)
    files = XfsFileSystem(written.with_records(first, *([cancel] if is_cancelled else [])))
    assert (files.unfinished, files.label) == (None, "system" if is_cancelled else "from-the-log")


def test_a_block_that_is_newer_is_not_changed(written: Written) -> None:
    """By the sequence number that version 5 has in it, unless that is beyond all the log holds, or of another file system."""
    label = bytearray(written.block[:128])
    label[108:120] = b"from-the-log"
    operations = transaction(buffer_item(0, 1, {0: bytes(label)}, kind=18))
    for lsn, uuid, wanted in (
        (written.lsn - 1, written.geometry.uuid, (None, "from-the-log")),
        (written.lsn, written.geometry.uuid, (None, "system")),
        (written.lsn + 100, written.geometry.uuid, ("the log was not replayed: a block is newer than all of it", "system")),
    ):
        block = written.block[:32] + uuid + written.block[48:240] + struct.pack(">Q", lsn) + written.block[248:]
        files = XfsFileSystem(written.with_records(operations, changed={0: block}))
        assert (files.unfinished, files.label) == wanted


def test_new_inodes_are_empty(written: Written) -> None:
    block = written.geometry.group_blocks - 64
    logged = [struct.pack("<HH", xfs_logs.CREATION, 1) + struct.pack(">IIIIII", 1, block, 64, 512, 8, 0xABCD)]
    part, unfinished = recovered(written.with_records(transaction(logged)), written.block)
    at = (written.geometry.group_blocks + block) * 4096 + 5 * 512
    number = written.geometry.inode_number(1, block, 5)
    wanted = b"IN\0\0\3" + bytes(87) + struct.pack(">II", 0xABCD, 0xFFFFFFFF) + bytes(52) + struct.pack(">Q", number)
    assert unfinished is None
    assert part.at(at, 512) == (wanted + written.geometry.uuid).ljust(512, b"\0")


NOTHING = intent(0x1236, 1)
REFUSED = {
    "blocks of a file": transaction(intent(0x1244, 1)),
    "an extended attribute": transaction(intent(0x1246, 1), intent(0x1247, 2)),
    "an exchange of files' blocks": transaction(intent(0x1248, 1)),
    "unknown type (0x1300)": transaction(intent(0x1300, 1)),
    "where there is none": transaction(inode_item(0, 0, b"NI".ljust(176, b"\0"))),
    "not lie in the file system": transaction(buffer_item(1 << 40, 1, {0: bytes(128)})),
    "a buffer's changes make no sense": transaction(buffer_item(0, 1, {5: bytes(128)})),
    "not of the kind": transaction(buffer_item(0, 1, {1: bytes(128)}, kind=7)),
    "new inodes make no sense": transaction([struct.pack("<HH24x", 0x123F, 1)]),
    "number of regions makes no sense": transaction([struct.pack("<HHIQ", 0x1236, 0, 0, 0)]),
    "an item lacks regions": transaction([struct.pack("<HHIQ", 0x1236, 2, 0, 0)]),
    "without its header": [operation(1), operation(0, b"nothing"), operation(2)],
    "that did not begin": [*transaction()[:-1], operation(8, b"rest")],
    "an operation makes no sense": [operation(1), operation(1)],
    "does not fit into its record": [*transaction(NOTHING), b"\0" * 8],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_replayed_is_told_and_nothing_is(written: Written, reason: str) -> None:
    part = written.with_records(transaction(NOTHING), REFUSED[reason])
    found, unfinished = recovered(part, written.block)
    assert unfinished is not None
    assert unfinished.startswith("the log was not replayed: ")
    assert reason in unfinished
    assert found is part


@pytest.mark.parametrize(
    ("how", "reason"), [({"crc": 1}, "checksum"), ({"crc": 0}, "checksum"), ({"form": 2}, "kind of machine")]
)
def test_a_record_that_linux_refuses(written: Written, how: dict[str, int], reason: str) -> None:
    assert reason in str(recovered(written.with_records(transaction(NOTHING), **how), written.block)[1])


def test_a_log_that_changes_itself(written: Written) -> None:
    assert written.geometry.log_at is not None
    logged = buffer_item(written.geometry.log_at // 512, 1, {0: bytes(128)})
    assert "it changes itself" in str(recovered(written.with_records(transaction(logged)), written.block)[1])


@pytest.mark.parametrize("kinds", [(0x1236,), (0x1240, 0x1242), (0x1244, 0x1245), (0x123D,)])
def test_what_is_left_to_be_done_and_no_file_shows(written: Written, kinds: tuple[int, ...]) -> None:
    operations = transaction(*(intent(kind, 1) for kind in kinds))
    assert recovered(written.with_records(operations), written.block)[1] is None


def test_a_log_elsewhere_or_of_another_is_told(written: Written) -> None:
    outside = written.block[:48] + bytes(8) + written.block[56:]
    other = written.block[:32] + UUID + written.block[48:]
    behind = written.block[:96] + struct.pack(">I", 1 << 30) + written.block[100:]
    for block, reason in (
        (outside, "on another device"),
        (other, "of another file system"),
        (behind, "not lie in the file system"),
    ):
        assert reason in str(recovered(written.part, block)[1])


def test_memory_and_work_are_bounded(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    part = written.with_records(transaction(buffer_item(0, 1, {0: written.block[:128]}, kind=18)))
    for module, names in (
        (xfs_log, ["_DIRTY_BYTES_MAX"]),
        (xfs_log_buffers, ["_SECTORS_MAX", "_WRITTEN_BYTES_MAX"]),
        (xfs_transactions, ["_OPEN_BYTES_MAX", "_OPERATIONS_MAX"]),
    ):
        for name in names:
            with monkeypatch.context() as patch:
                patch.setattr(module, name, 0)
                assert recovered(part, written.block)[1] is not None, name
    assert recovered(part, written.block)[1] is None


SECTORS = 8192
RECORD = transaction(NOTHING)


def ring(*records: tuple[int, int, int], torn: int = 0) -> Log:
    """A log with records of a cycle, at a place, with the tail's place; `torn` sectors of the last were not written."""
    data = bytearray(SECTORS * 512)
    for cycle, at, tail in records:
        tail_cycle = cycle if tail <= at else cycle - 1
        content = xfs_logs.record(cycle << 32 | at, tail_cycle << 32 | tail, RECORD, UUID, end=SECTORS)
        whole = content[: len(content) - torn * 512] if (cycle, at, tail) == records[-1] else content
        for number, sector in sectors_of(at * 512, whole):
            place = number % SECTORS * 512
            data[place : place + 512] = sector
    disk = Part(_File(data), 0, len(data))  # type: ignore[arg-type]
    return Log(disk, 0, SECTORS, version=2, uuid=UUID, checked=True)


class _File:
    def __init__(self, data: bytearray) -> None:
        self._data, self._at = data, 0

    def seek(self, at: int) -> None:
        self._at = at

    def read(self, length: int) -> bytes:
        return bytes(self._data[self._at : self._at + length])


def full(cycle: int) -> list[tuple[int, int, int]]:
    return [(cycle, at, at) for at in range(0, SECTORS, 2)]


@pytest.mark.parametrize(
    ("log", "head", "count"),
    [
        (lambda: ring((1, 0, 0), (1, 2, 0)), 4, 2),
        (lambda: ring((1, 0, 0), (1, 2, 2), (1, 4, 2), torn=1), 4, 1),
        (lambda: ring(*full(1), (2, 0, SECTORS - 4)), 2, 3),
        (lambda: ring(*full(1), (2, 0, SECTORS - 4), (2, 2, SECTORS - 4), torn=1), 2, 3),
        (lambda: ring(*full(1)[:-1], (1, SECTORS - 2, SECTORS - 6)), 0, 3),
        (lambda: ring(*full(6), *full(7)[: SECTORS // 4], (7, SECTORS // 2, 100)), SECTORS // 2 + 2, SECTORS // 4 - 49),
        (lambda: ring(*((1, at, min(at, SECTORS - 5)) for at in range(1, SECTORS, 2))), 1, 3),
    ],
)
def test_where_a_log_begins_and_ends(log: Callable[[], Log], head: int, count: int) -> None:
    """In the first round, over the end, at the end, after a record that was not written whole."""
    found = log()
    is_clean = found.is_clean()
    assert (found.head, 0 if is_clean else len(list(found.records(verify=True)))) == (head, count)


def test_a_tail_beyond_the_head_is_refused() -> None:
    with pytest.raises(Unreadable, match="end lies before"):
        ring((1, 0, 0), (1, 2, SECTORS + 5)).is_clean()


def test_a_mutated_log_ends_in_time(disk: Callable[[str], Part]) -> None:
    """Version 4 with no checksums in its records, so that what is changed is not refused at once."""
    part, noise, reasons = disk("xfs-dirty-4"), random.Random(5), set[str]()
    block = part.at(0, 512)
    log_at = Written.log_of(block)
    sectors = dict(sectors_of(log_at, part.at(log_at, 512 * 512)))
    for number, sector in sectors.items():
        if sector.startswith(b"\xfe\xed\xba\xbe"):
            sectors[number] = sector[:32] + bytes(4) + sector[36:]
    assert recovered(ReplayedPart(part, 512, {**sectors}), block)[1] is None
    for _ in range(20):
        changed: dict[int, bytes | int] = {**sectors}
        for _ in range(noise.choice((1, 3, 20))):
            number, at = noise.choice(list(sectors)[180:440]), noise.randrange(512)
            sector = changed[number]
            assert isinstance(sector, bytes)
            changed[number] = sector[:at] + noise.choice((b"\0", b"\xff", noise.randbytes(1))) + sector[at + 1 :]
        began = time.process_time()
        found, unfinished = recovered(ReplayedPart(part, 512, changed), block)
        reasons.add(str(unfinished))
        opened = attempt(lambda found=found: [*Tree(XfsFileSystem(found)).walk()])  # type: ignore[misc]
        assert isinstance(opened, list | Unreadable)
        assert time.process_time() - began < 20
    assert len(reasons) > 3
