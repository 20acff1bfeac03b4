"""What lies in the journal of an ext is read as e2fsck writes it back; what cannot be is said, and ends in time."""

import contextlib
import io
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inspector.disks import FSTAB, Root, ext4, gpt, item, report_of, verdict
from tests.inspector.journals import (
    MAGIC,
    REVOKE,
    Journal,
    Transaction,
    blocks_of,
    debugfs,
    replay_by_e2fsck,
    small,
)
from tests.inspector.memory import MemoryFileSystem, facts_of

from filesystems import ext_journal, open_file_system  # isort: skip
from filesystems.base import FileSystem  # isort: skip
from items import guestos_system_image  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip
from volumes.volume import Partition, Volume  # isort: skip

KINDS = {
    "plain": (0, False, 1024),
    "64-bit": (0, True, 1024),
    "checksum v1": (1, False, 1024),
    "checksum v2": (2, False, 1024),
    "checksum v2, 64-bit": (2, True, 4096),
    "checksum v3": (3, True, 1024),
    "checksum v3, 4 KiB": (3, True, 4096),
}
kinds = pytest.mark.parametrize(("checksums", "wide", "block_bytes"), KINDS.values(), ids=KINDS.keys())


@contextlib.contextmanager
def opened(image: Path) -> Iterator[FileSystem]:
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
    with opened(image) as files:
        return files.unfinished


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A file system by its size of blocks, which nothing is wrong with."""
    folder = tmp_path_factory.mktemp("plain")
    files = {"etc/fstab": b"old\n" * 2000, "etc/other": b"x" * 9000}
    return {size: small(folder / f"{size}", block_bytes=size, files=files) for size in (1024, 4096)}


Make = Callable[..., Journal]


@pytest.fixture
def journal(plain: dict[int, Path], tmp_path: Path) -> Make:
    """Give the journal of a copy."""

    def make(checksums: int = 0, wide: bool = False, block_bytes: int = 1024, **options: int) -> Journal:
        image = Path(shutil.copy(plain[block_bytes], tmp_path / "image"))
        return Journal(image, block_bytes, checksums, wide, **options)  # type: ignore[arg-type]

    return make


def block(journal: Journal, text: bytes) -> bytes:
    return text.ljust(journal.block_bytes, b".")


# --- what debugfs writes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "-c -v 2", "-c -v 3"])
@pytest.mark.parametrize("block_bytes", [1024, 4096])
def test_journals_of_debugfs_are_read_as_e2fsck_replays_them(
    plain: dict[int, Path], tmp_path: Path, version: str, block_bytes: int
) -> None:
    image, new = Path(shutil.copy(plain[block_bytes], tmp_path / "image")), tmp_path / "new"
    numbers = blocks_of(image, "/etc/fstab")
    new.write_bytes((b"new\n" * 1024)[:block_bytes] + MAGIC + b"z" * (block_bytes - 4))
    requests = (
        f"jw -b {numbers[0]},{numbers[1]} {new}",
        f"jw -b {numbers[0]} -r {numbers[1]} {new}",
        f"jw -b {numbers[0]} -c /etc/os-release",
    )
    debugfs(image, f"jo {version}", *requests, "jc")
    found = contents(image)
    assert found["/etc/fstab"][1][:8] == b"new\nnew\n"
    assert found == contents(replay_by_e2fsck(image))


# --- what is written by hand -------------------------------------------------------------------------------------------------


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


@kinds
def test_the_last_copy_that_nothing_revokes_is_what_counts(
    journal: Make, tmp_path: Path, checksums: int, wide: bool, block_bytes: int
) -> None:
    made = journal(checksums, wide, block_bytes, tags_max=3)
    one, two, three, four, five, *others = blocks_of(made.image, "/data")
    writes = [(number, block(made, b"many %d" % number)) for number in others[:20]]
    made.write(
        Transaction([(one, block(made, b"first")), (two, block(made, b"first")), (three, block(made, b"revoked later"))]),
        Transaction(
            [(one, block(made, b"second")), (four, block(made, b"revoked at once")), (five, MAGIC * (block_bytes // 4))], [four]
        ),
        Transaction(writes, [three, others[0], others[1]]),
        Transaction([(three, block(made, b"after"))]),
        Transaction([(one, block(made, b"never committed"))], [two], committed=False),
    )
    (_, found), before = contents(made.image)["/data"], bytes(range(256)) * (block_bytes // 4)
    assert [found[at * block_bytes :][:9].rstrip(b".") for at in range(3)] == [b"second", b"first", b"after"]
    assert found[3 * block_bytes : 5 * block_bytes] == before[3 * block_bytes : 4 * block_bytes] + MAGIC * (block_bytes // 4)
    assert found[5 * block_bytes : 7 * block_bytes] == before[5 * block_bytes : 7 * block_bytes]
    assert found[7 * block_bytes :].startswith(b"many ")
    replayed_alike(made, tmp_path)


@kinds
def test_a_log_that_goes_round_whose_sequence_does_too(
    journal: Make, tmp_path: Path, checksums: int, wide: bool, block_bytes: int
) -> None:
    made = journal(checksums, wide, block_bytes, sequence=0xFFFFFFFE)
    made.start, numbers = made.last - 3, blocks_of(made.image, "/data")
    made.write(*(Transaction([(number, block(made, b"%d" % number))], [numbers[0]]) for number in numbers[:5]))
    replayed_alike(made, tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(KINDS)),
    start=st.sampled_from([1, 900, 1000, 1022]),
    transactions=st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6), st.lists(st.integers(0, 9), max_size=3)),
        min_size=1,
        max_size=8,
    ),
    committed=st.integers(1, 8),
)
def test_any_log_is_read_as_e2fsck_replays_it(
    journal: Make,
    tmp_path: Path,
    kind: str,
    start: int,
    transactions: list[tuple[list[tuple[int, bool]], list[int]]],
    committed: int,
) -> None:
    made = journal(*KINDS[kind], start=start, tags_max=4)
    numbers, count = blocks_of(made.image, "/data"), iter(range(1000))
    made.write(
        *(
            Transaction(
                [
                    (numbers[one], (MAGIC if escaped else b"") + block(made, b"%d" % next(count))[4 * escaped :])
                    for one, escaped in writes
                ],
                [numbers[one] for one in revoked],
                committed=number < committed,
            )
            for number, (writes, revoked) in enumerate(transactions)
        )
    )
    replayed_alike(made, tmp_path)


def test_metadata_that_only_the_journal_has(plain: dict[int, Path], tmp_path: Path) -> None:
    """Directories, inodes, bitmaps and the super block from the journal: what debugfs changed in another copy."""
    image, changed, new = (Path(shutil.copy(plain[1024], tmp_path / name)) for name in ("image", "changed", "new"))
    new.write_bytes(b"a new file " * 3000)
    debugfs(changed, f"write {new} /etc/new", "symlink /etc/link new", "rm /etc/other", "mkdir /folder", "ssv volume_name after")
    before, after = image.read_bytes(), changed.read_bytes()
    made = Journal(image, 1024)
    differ = [at for at in range(0, len(before), 1024) if before[at : at + 1024] != after[at : at + 1024]]
    made.write(Transaction([(at // 1024, after[at : at + 1024]) for at in differ]))
    found = contents(image)
    assert found == contents(changed)
    assert found["/etc/new"][1] == new.read_bytes()
    assert "/etc/other" not in found
    with opened(image) as files:
        assert files.label == "after"


# --- what is not replayed ----------------------------------------------------------------------------------------------------


def flip(number: int, at: int) -> Callable[[Journal], None]:
    """Change a byte of a block of the journal."""

    def harm(made: Journal) -> None:
        block = bytearray(made.read(number))
        block[at] ^= 0x40
        made.put(number, bytes(block))

    return harm


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


def test_a_journal_with_nothing_in_it_costs_a_look(plain: dict[int, Path]) -> None:
    disk = Counting(plain[4096].read_bytes())
    files = open_file_system(Part(disk, 0, plain[4096].stat().st_size))
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
def dirty(plain: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Journal]:
    """A full log of each kind."""
    found = {}
    for kind, (checksums, wide, block_bytes) in KINDS.items():
        made = Journal(
            Path(shutil.copy(plain[block_bytes], tmp_path_factory.mktemp("dirty") / "image")), block_bytes, checksums, wide
        )
        numbers = blocks_of(made.image, "/data")
        made.write(
            *(Transaction([(one, block(made, b"%d" % one)) for one in numbers[at : at + 5]], numbers[:1]) for at in range(4))
        )
        found[kind] = made
    return found


# --- what is made of it ------------------------------------------------------------------------------------------------------


def test_the_item_says_which_file_system_is_not_as_it_will_be() -> None:
    facts = facts_of({"etc/os-release": ""})
    assert guestos_system_image.judge(facts).level == "ok"
    second = MemoryFileSystem({})
    second.unfinished = "its journal is not replayed: it holds fast commits"
    facts.volumes.append(Volume(Partition(2, 0, 1 << 20, mapper="system-var"), "ext4", files=second))
    found = guestos_system_image.judge(facts)
    assert (found.level, found.code) == ("unsupported", "SystemImage.JournalNotReplayed")
    assert [one.text for one in found.evidence] == [f"/dev/mapper/system-var (ext4): {second.unfinished}"]
    assert "cleanly" in (found.advice or "")
    facts.root, facts.tree = None, None
    assert guestos_system_image.judge(facts).level == "failed"


@pytest.mark.parametrize("bad_is_new", [True, False])
async def test_an_image_is_judged_by_what_its_journal_changes(tmp_path: Path, *, bad_is_new: bool) -> None:
    """An fstab that is changed by the journal only, for the worse or the better; then by one that cannot be read."""
    good, bad = FSTAB.ljust(200, "#"), "LABEL=nowhere /data ext4 defaults 0 2\n".ljust(200, "#")
    old, new = (good, bad) if bad_is_new else (bad, good)
    image = ext4(tmp_path / "root", Root({"etc/fstab": old.encode()}))
    made = Journal(image, 1024, 3)
    made.write(Transaction([(blocks_of(image, "/etc/fstab")[0], new.encode().ljust(1024, b"\0"))]))
    report = await report_of(gpt(tmp_path / "disk", image))
    assert item(report, "Fstab").level == ("failed" if bad_is_new else "ok")
    assert item(report, "SystemImage").level == "ok"
    assert verdict(report).outcome == ("blocked" if bad_is_new else "passed")
    flip(2, 5)(made)
    report = await report_of(gpt(tmp_path / "other", image))
    found = item(report, "SystemImage")
    assert (found.level, found.code) == ("unsupported", "SystemImage.JournalNotReplayed")
    assert (found.evidence[0].text or "").startswith("partition 3 (ext4): its journal is not replayed: a block of transaction 7")
    assert verdict(report).outcome == ("undetermined" if bad_is_new else "blocked")
