"""Journals of ext that lie, are damaged, or hold what is not read: that is said, and ends in time."""

import io
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inspector.journals import (
    KINDS,
    MAGIC,
    REVOKE,
    Journal,
    Make,
    Transaction,
    block,
    blocks_of,
    contents,
    debugfs,
    flip,
    opened,
    replayed_alike,
    small,
    unfinished,
)

from filesystems import ext_journal, open_file_system  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip


def lie(**changes: object) -> Callable[[Journal], None]:
    """Write the super block of the journal again, with lies."""

    def harm(made: Journal) -> None:
        for name, value in changes.items():
            setattr(made, name, value)
        made.write_head()

    return harm


def by_debugfs(*requests: str) -> Callable[[Journal], None]:
    return lambda made: debugfs(made.image, *requests) and None  # type: ignore[func-returns-value]


HARMS: dict[str, tuple[int, Callable[[Journal], None], str]] = {
    "a feature nobody knows": (3, lie(incompat=0x1000 | 16 | 2), "features"),
    "a feature nobody knows, for writing": (0, lie(lies={44: 1}), "features"),
    "two kinds of checksums": (0, lie(incompat=8 | 16), "of a kind"),
    "checksums of another kind": (0, lie(incompat=16), "of a kind"),
    "a super block that does not match its checksum": (3, flip(0, 300), "super block does not match"),
    "no magic": (0, lambda made: made.put(0, bytes(1024)), "makes no sense"),
    "blocks of another size": (0, lie(lies={12: 4096}), "makes no sense"),
    "longer than its file": (0, lie(lies={16: 5000}), "a log from"),
    "too short": (0, lie(lies={16: 500}), "a log from"),
    "the log begins in the super block": (0, lie(lies={20: 0}), "a log from"),
    "the log begins behind its end": (0, lie(start=4000), "a log from"),
    "data of another checksum, v2": (2, flip(2, 100), "a block of transaction 7"),
    "data of another checksum, v3": (3, flip(2, 100), "a block of transaction 7"),
    "data of another checksum, v1": (1, flip(2, 100), "transaction 7 does not match"),
    "tags of another checksum": (3, flip(1, 900), "transaction 7 does not match"),
    "a commit of another checksum": (3, flip(4, 900), "transaction 7 does not match"),
    "revoked ones of another checksum": (3, flip(5, 900), "transaction 8 does not match"),
    "more revoked ones than fit": (0, flip(5, 13), "transaction 8 does not match"),
    "another device": (0, by_debugfs("ssv journal_inum 0", "ssv journal_dev 0x801"), "another device"),
    "an inode of nothing": (0, by_debugfs("ssv journal_inum 9"), "is no journal|of no kind"),
    "an inode beyond the disk": (0, by_debugfs("ssv journal_inum 4000000"), "replayed"),
    "a directory": (0, by_debugfs("ssv journal_inum 2"), "is no journal"),
    "no journal": (0, by_debugfs("feature -has_journal"), "that there is not"),
    "holes": (0, by_debugfs("punch <8> 3 6"), "nowhere on the disk"),
    "nobody tells of it": (0, by_debugfs("feature -needs_recovery"), "says that it holds none"),
}


@pytest.mark.parametrize(("checksums", "harm", "text"), HARMS.values(), ids=HARMS.keys())
def test_what_cannot_be_replayed_is_said(journal: Make, checksums: int, harm: Callable[[Journal], None], text: str) -> None:
    """Files are then as they lie on the disk."""
    made = journal(checksums)
    one, two, *_ = blocks_of(made.image, "/data")
    made.write(Transaction([(one, block(made, b"new")), (two, block(made, b"new"))]), Transaction(revoked=[two]))
    assert unfinished(made.image) is None
    harm(made)
    with opened(made.image) as files:
        assert re.search(text, files.unfinished or "")
        found = Tree(files).find("/data")
        assert found is not None
        assert found.open().read(4) == bytes(range(4))


def test_what_was_never_committed_may_be_damaged(journal: Make, tmp_path: Path) -> None:
    """A machine that is stopped while it writes leaves such a log."""
    for at in (1, 2, 4, 5, 6):
        made = journal(3)
        one, two, *_ = blocks_of(made.image, "/data")
        made.write(
            Transaction([(one, block(made, b"new"))]),
            Transaction([(two, block(made, b"half"))], [one], committed=False),
        )
        assert made.read(4)[4:8] == (REVOKE).to_bytes(4, "big")
        if at > 3:
            flip(at, 900)(made)
            replayed_alike(made, tmp_path)
            assert contents(made.image)["/data"][1].startswith(b"new.")
        else:
            flip(at, 900)(made)
            assert "transaction 7" in (unfinished(made.image) or "")


LIES: dict[str, tuple[Callable[[Journal], Transaction], str]] = {
    "a block beyond the disk": (lambda made: Transaction([(made.image.stat().st_size // 1024, bytes(1024))]), "the disk has not"),
    "a block at the end of all": (lambda _: Transaction([((1 << 64) - 1, bytes(1024))]), "the disk has not"),
    "a block of the log": (lambda made: Transaction([(made.places[500], bytes(1024))]), "one of its own"),
    "its own super block": (lambda made: Transaction([(made.places[0], bytes(1024))]), "one of its own"),
    "another size of inodes": (lambda made: Transaction([(1, changed_super_block(made, 89, 3))]), "how all the rest is read"),
    "another feature": (lambda made: Transaction([(1, changed_super_block(made, 97, 0x80))]), "how all the rest is read"),
    "another journal": (lambda made: Transaction([(1, changed_super_block(made, 224, 1))]), "no journal|of no kind"),
    "a super block of nothing": (lambda _: Transaction([(1, bytes(1024))]), "make no sense"),
}


def changed_super_block(made: Journal, at: int, value: int) -> bytes:
    block = bytearray(made.image.read_bytes()[1024:2048])
    block[at] ^= value
    return bytes(block)


@pytest.mark.parametrize(("transaction", "text"), LIES.values(), ids=LIES.keys())
def test_a_log_that_lies_is_refused(journal: Make, transaction: Callable[[Journal], Transaction], text: str) -> None:
    made = journal(wide=True)
    made.write(transaction(made))
    assert re.search(text, unfinished(made.image) or "")


def test_a_journal_whose_inode_it_moves_is_refused(journal: Make) -> None:
    made = journal()
    before = made.image.read_bytes()
    debugfs(made.image, "punch <8> 900 1000")
    after = made.image.read_bytes()
    made.image.write_bytes(before)
    differ = [at for at in range(0, len(before), 1024) if before[at : at + 1024] != after[at : at + 1024]]
    made.write(Transaction([(at // 1024, after[at : at + 1024]) for at in differ]))
    assert "changes of the journal itself" in (unfinished(made.image) or "")


def test_a_log_that_leads_round_ends(journal: Make) -> None:
    """Descriptors of one transaction without end: each names the blocks up to the next, the last those up to the first."""
    made, step = journal(), 60
    target = blocks_of(made.image, "/data")[0]
    writes = [(target, bytes(1024))] * step
    made.tags_max = step
    made.write(*[Transaction(writes, committed=False)] * 1)
    descriptor = made.read(1)
    for number in range(made.first, made.last, step + 1):
        made.put(number, descriptor)
    left = (made.last - made.first) % (step + 1)
    made.put(made.last - left, made.described([(target, bytes(1024))] * (left - 1), made.sequence))
    assert "leads round" in (unfinished(made.image) or "")


def test_a_log_of_more_than_is_read(journal: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = journal(block_bytes=4096)
    target = blocks_of(made.image, "/data")[0]
    made.write(*[Transaction([(target, MAGIC * 1024)] * 10)] * 10)
    assert unfinished(made.image) is None
    for name, limit, text in (
        ("_LOG_BLOCKS_MAX", 100, "more than 100 blocks"),
        ("_LOG_BYTES_MAX", 100 * 4096, "more than 100 blocks"),
        ("_ESCAPED_BYTES_MAX", 99 * 4096, "in escaped blocks"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(ext_journal, name, limit)
            assert text in (unfinished(made.image) or "")


@pytest.mark.parametrize("behind", [0, 1])
def test_fast_commits_are_told(tmp_path: Path, behind: int) -> None:
    """Their place begins behind the log: without a head in it there are none. A log that goes round beside it is not read."""
    image = small(tmp_path / "large", mib=32, files={"etc/fstab": b"old\n"})
    debugfs(image, "feature fast_commit")
    made = Journal(image, 1024, lies={84: 64})
    assert len(made.places) >= 1024 + 64
    made.incompat |= 0x20
    made.last -= 64
    data = blocks_of(image, "/data")
    made.lies = {84: 64, 16: made.last + 64}
    made.write(Transaction([(data[0], block(made, b"new"))]))
    assert contents(image)["/data"][1].startswith(b"new.")
    made.put(made.last + behind, struct.pack("<HHII", 9, 8, 0, 8).ljust(1024, b"\0"))
    assert "fast commits" in (unfinished(image) or "")
    made.put(made.last + behind, bytes(1024))
    made.start = made.last - 2
    made.write(*[Transaction([(data[0], block(made, b"new"))])] * 2)
    assert "goes round" in (unfinished(image) or "")


class Counting(io.BytesIO):
    """Counts what is read."""

    total = 0

    def read(self, length: int | None = -1) -> bytes:
        data = super().read(length)
        self.total += len(data)
        return data


def test_a_journal_with_nothing_in_it_costs_a_look(small_ext: dict[int, Path]) -> None:
    disk = Counting(small_ext[4096].read_bytes())
    files = open_file_system(Part(disk, 0, small_ext[4096].stat().st_size))
    assert files is not None
    assert files.unfinished is None
    assert disk.total < 40_000


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(KINDS)),
    changes=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 1100), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5
    ),
)
def test_no_change_of_a_journal_makes_it_raise_or_hang(
    dirty: dict[str, Journal], kind: str, changes: list[tuple[int, int, bytes]]
) -> None:
    made = dirty[kind]
    data = bytearray(made.image.read_bytes())
    for number, at, value in changes:
        data[made.places[number] * made.block_bytes + at : made.places[number] * made.block_bytes + at + len(value)] = value
    disk = Counting(data)
    files = open_file_system(Part(disk, 0, len(data)))
    assert files is not None
    assert disk.total < 8 * len(data)
    assert sum(1 for _ in Tree(files).walk()) > 3


@pytest.fixture(scope="module")
def dirty(small_ext: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Journal]:
    """A full log of each kind."""
    found = {}
    for kind, (checksums, wide, block_bytes) in KINDS.items():
        made = Journal(
            Path(shutil.copy(small_ext[block_bytes], tmp_path_factory.mktemp("dirty") / "image")), block_bytes, checksums, wide
        )
        numbers = blocks_of(made.image, "/data")
        made.write(
            *(Transaction([(one, block(made, b"%d" % one)) for one in numbers[at : at + 5]], numbers[:1]) for at in range(4))
        )
        found[kind] = made
    return found
