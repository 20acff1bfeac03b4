"""What lies in the journal of an ext is read as e2fsck writes it back, and judged."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inspector.disks import FSTAB, Root, ext4, gpt, item, report_of, verdict
from tests.inspector.journals import (
    KINDS,
    MAGIC,
    Journal,
    Make,
    Transaction,
    block,
    blocks_of,
    contents,
    debugfs,
    flip,
    opened,
    replay_by_e2fsck,
    replayed_alike,
)
from tests.inspector.memory import MemoryFileSystem, facts_of

from items import guestos_system_image  # isort: skip
from volumes.volume import Partition, Volume  # isort: skip

kinds = pytest.mark.parametrize(("checksums", "wide", "block_bytes"), KINDS.values(), ids=KINDS.keys())


# --- what debugfs writes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "-c -v 2", "-c -v 3"])
@pytest.mark.parametrize("block_bytes", [1024, 4096])
def test_journals_of_debugfs_are_read_as_e2fsck_replays_them(
    small_ext: dict[int, Path], tmp_path: Path, version: str, block_bytes: int
) -> None:
    image, new = Path(shutil.copy(small_ext[block_bytes], tmp_path / "image")), tmp_path / "new"
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


def test_metadata_that_only_the_journal_has(small_ext: dict[int, Path], tmp_path: Path) -> None:
    """Directories, inodes, bitmaps and the super block from the journal: what debugfs changed in another copy."""
    image, changed, new = (Path(shutil.copy(small_ext[1024], tmp_path / name)) for name in ("image", "changed", "new"))
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
