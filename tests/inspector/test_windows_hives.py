"""Registry hives: read as another reader does, with what their logs hold."""

import io
import lzma
import struct
from pathlib import Path

import pytest
from dissect.regf import RegistryHive

from findings import Unreadable
from tests.inspector.windows_hives import (
    BINS,
    DIRTY,
    GROWN,
    MANY,
    ONE,
    SECOND,
    THIRD,
    TWO,
    base_block,
    entry,
    old_log,
    opened,
    pages,
    patched,
)
from tests.inspector.windows_registry import (
    SERVICES,
    SYSTEM,
    Keys,
    Writer,
    based,
    hive,
)
from tests.inspector.windows_roots import CONFIG, judged, windows
from windows.hive import Key
from windows.hive_logs import LOG_BYTES_MAX, _marvin32

DATA = Path(__file__).with_name("data")
VALUES: Keys = {
    "Values": {
        "": "the default",
        "empty": "",
        "number": 4711,
        "texts": ["one", "two"],
        "binary": b"\0\1\2\3\4\5",
        "large": bytes(range(256)) * 300,
        "exact": bytes(16344),
    }
}


def compare(ours: Key, theirs: object) -> int:
    """Compare a key and all beneath it with what dissect.regf reads; returns how many keys there were."""
    assert ours.name == theirs.name  # type: ignore[attr-defined]
    values = [(value.name or "(Default)", value.type, value.data) for value in ours.values()]
    assert values == [(value.name, value.type, value.data) for value in theirs.values()]  # type: ignore[attr-defined]
    keys = list(ours.subkeys())
    others = list(theirs.subkeys())  # type: ignore[attr-defined]
    assert len(keys) == len(others)
    return 1 + sum(compare(one, other) for one, other in zip(keys, others, strict=True))


MADE = {
    "hash leaves": hive({**SYSTEM, **VALUES}),
    "fast leaves": hive({**SYSTEM, **VALUES}, leaf=b"lf"),
    "index leaves": hive({**SYSTEM, **VALUES}, leaf=b"li"),
    "an index root": hive({**MANY, **VALUES}, per_leaf=100),
}


@pytest.mark.parametrize("data", MADE.values(), ids=MADE.keys())
def test_read_as_another_reader_does(data: bytes) -> None:
    found = opened(data)
    found.check_bins()
    assert compare(found.root, RegistryHive(io.BytesIO(data)).root()) > 25


@pytest.mark.parametrize("name", ["system", "software", "bcd-gpt", "bcd-mbr", "other"])
def test_what_hivex_wrote_is_read_as_another_reader_does(name: str) -> None:
    data = lzma.decompress((DATA / f"windows-{name}.hive.xz").read_bytes())
    found = opened(data)
    found.check_bins()
    assert compare(found.root, RegistryHive(io.BytesIO(data)).root()) > 1


@pytest.mark.parametrize("leaf", [b"lh", b"lf", b"li"])
def test_keys_are_found_in_any_case(leaf: bytes) -> None:
    found = opened(hive(MANY, leaf=leaf, per_leaf=77))
    for number in (0, 76, 77, 1199):
        key = found.key(f"mANY\\KEY {number:04d}")
        assert key is not None
        assert (key.path, key.number("NUMBER")) == (f"Many\\key {number:04d}", number)
    assert found.key("Many\\key 1200") is None
    assert found.key("Many\\key 0001\\more") is None


def test_values_by_type() -> None:
    key = opened(hive(VALUES)).key("Values")
    assert key is not None
    assert (key.text("empty"), key.number("number"), key.text(""), key.number("empty")) == ("", 4711, "the default", None)
    texts, large = key.value("Texts"), key.value("large")
    assert texts is not None
    assert large is not None
    assert texts.texts == ("one", "two")
    assert large.data == bytes(range(256)) * 300


def test_names_that_are_not_latin() -> None:
    writer = Writer()
    name = "драйвер".encode("utf-16-le")
    body = struct.pack("<2sHQIIIIII", b"nk", 0, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF)
    key = writer.cell(
        body + struct.pack("<IIII", 0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(20) + struct.pack("<HH", len(name), 0) + name
    )
    listed = writer.cell(struct.pack("<2sHI", b"li", 1, key))
    top = struct.pack("<2sHQIIIIII", b"nk", 0x2C, 0, 0, 0, 1, 0, listed, 0xFFFFFFFF)
    root = writer.cell(
        top + struct.pack("<IIII", 0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(20) + struct.pack("<HH", 4, 0) + b"ROOT"
    )
    found = opened(based(writer.bins(), root)).key("ДРАЙВЕР")
    assert found is not None
    assert found.name == "драйвер"


def test_the_hash_of_log_entries() -> None:
    """Marvin32 with this seed, low and high half by exclusive or, for texts that its other users test with."""
    known = {
        b"": 0xB00892AC,
        b"h": 0xF41A608E,
        b"he": 0x11107C6B,
        b"hel": 0x24056A46,
        b"hell": 0x7F91E021,
        b"hello, world!": 0x00C18515,
    }
    for data, wanted in known.items():
        found = _marvin32(data)
        assert found >> 32 ^ found & 0xFFFFFFFF == wanted


LOGS: dict[str, tuple[tuple[bytes, ...], int | None]] = {
    "an entry": ((base_block(DIRTY, 6, 8) + ONE,), 3),
    "two entries": ((base_block(DIRTY, 6, 8) + ONE + TWO,), 4),
    "two entries in two logs": ((base_block(DIRTY, 6, 9) + TWO, base_block(DIRTY, 6, 8) + ONE), 4),
    "an entry before a gap": ((base_block(DIRTY, 6, 8) + ONE + entry(pages(SECOND, THIRD, 4096), 11, BINS),), 3),
    "an entry before a damaged one": ((base_block(DIRTY, 6, 8) + ONE + TWO[:-1] + b"\x01",), 3),
    "the old format": ((old_log(DIRTY, SECOND),), 3),
    "nothing": ((), None),
    "empty logs": ((b"", bytes(LOG_BYTES_MAX >> 8)), None),
    "a damaged entry": ((base_block(DIRTY, 6, 8) + ONE[:-1] + b"\x01",), None),
    "entries of long ago": ((base_block(DIRTY, 6, 5) + entry(pages(DIRTY, SECOND, 4096), 5, BINS),), None),
    "another hive's old log": ((old_log(DIRTY, SECOND)[:12] + bytes(8) + old_log(DIRTY, SECOND)[20:],), None),
    "an old log cut off": ((old_log(DIRTY, SECOND)[:-512],), None),
}


@pytest.mark.parametrize(("logs", "start"), LOGS.values(), ids=LOGS.keys())
def test_logs_are_applied_as_a_kernel_does(logs: tuple[bytes, ...], start: int | None) -> None:
    if start is None:
        with pytest.raises(Unreadable) as reason:
            opened(DIRTY, *logs)
        assert reason.value.code == "HiveDirty"
        return
    key = opened(DIRTY, *logs).key(f"{SERVICES}\\viostor")
    assert key is not None
    assert key.number("Start") == start


def test_a_hive_grows_by_its_log() -> None:
    log = base_block(DIRTY, 6, 8) + entry(pages(DIRTY, GROWN, 4096), 8, len(GROWN) - 4096)
    # Where the top key lies never changes, but for the writer of these tests.
    found = opened(patched(DIRTY, 36, GROWN[36:40]), log)
    found.check_bins()
    assert compare(found.root, RegistryHive(io.BytesIO(GROWN)).root()) > 1200


def test_a_clean_hive_has_its_log_passed_over() -> None:
    log = base_block(DIRTY, 6, 1) + entry(pages(DIRTY, SECOND, 4096), 1, BINS)
    key = opened(hive(SYSTEM), log).key(f"{SERVICES}\\viostor")
    assert key is not None
    assert key.number("Start") == 0


def test_items_see_what_waits_in_the_log() -> None:
    logs = {f"{CONFIG}/SYSTEM": DIRTY, f"{CONFIG}/SYSTEM.LOG1": base_block(DIRTY, 6, 8) + ONE, f"{CONFIG}/SYSTEM.LOG2": b""}
    facts = windows(logs)
    assert judged("Virtio", facts).code == "Virtio.NotAtBoot"
    assert judged("Registry", facts).value == ("SYSTEM: 1 entries of its log applied",)
