"""Registry hives: read as another reader does, with their logs; hostile ones end in bounded time and are never judged ok."""

import io
import lzma
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dissect.regf import RegistryHive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.rules import declared_items
from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import (
    PACKAGES,
    SERVICES,
    SOFTWARE,
    SYSTEM,
    Keys,
    Writer,
    based,
    changed,
    checksum,
    hive,
    nested,
)
from tests.inspector.windows_roots import CONFIG, clean, windows

import windows.hive as parser  # isort: skip
from findings import Unreadable  # isort: skip
from items import ITEMS, judge  # isort: skip
from windows.hive import Hive, Key  # isort: skip
from windows.hive_logs import LOG_BYTES_MAX, Log, _marvin32  # isort: skip

assert facts_of
DATA = Path(__file__).with_name("data")
OURS = [one for one in ITEMS if one.NAME in declared_items("2", "windows")]
"""Those that need no rules nor databases."""
MANY: Keys = {f"Many\\key {number:04d}": {"number": number} for number in range(1200)}
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


def opened(data: bytes, *logs: bytes) -> Hive:
    return Hive("/hive", io.BytesIO(data), len(data), tuple(Log(f"/log{number}", log) for number, log in enumerate(logs)))


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


# --- logs ---------------------------------------------------------------------------------------------------------------


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


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return a hive with bytes changed and its checksum right again."""
    found = bytearray(data)
    found[at : at + len(new)] = new
    struct.pack_into("<I", found, 508, checksum(bytes(found)))
    return bytes(found)


def base_block(data: bytes, kind: int, sequence: int) -> bytes:
    """Return the copy of a hive's base block that a log begins with."""
    base = bytearray(data[:512])
    struct.pack_into("<II", base, 4, sequence, sequence)
    struct.pack_into("<I", base, 28, kind)
    struct.pack_into("<I", base, 508, checksum(bytes(base)))
    return bytes(base)


def pages(before: bytes, after: bytes, size: int) -> list[tuple[int, bytes]]:
    """Return the pages of the hive bins that differ."""
    found = range(0, len(after) - 4096, size)
    return [(at, after[4096 + at :][:size]) for at in found if before[4096 + at :][:size] != after[4096 + at :][:size]]


def entry(changes: list[tuple[int, bytes]], sequence: int, bins: int) -> bytes:
    """Return an entry of a log of Windows 8.1 and later."""
    references = b"".join(struct.pack("<II", at, len(page)) for at, page in changes)
    body = references + b"".join(page for _, page in changes)
    size = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(size - 40, b"\0")
    head = struct.pack("<4sIIIIIQ", b"HvLE", size, 0, sequence, bins, len(changes), _marvin32(body))
    return head + struct.pack("<Q", _marvin32(head)) + body


def old_log(before: bytes, after: bytes) -> bytes:
    """Return a log of Windows 8 and before: a map of dirty pages of 512 bytes, then the pages."""
    changes = dict(pages(before, after, 512))
    bits = bytearray((len(after) - 4096) // 512 // 8)
    for at in changes:
        bits[at // 512 // 8] |= 1 << at // 512 % 8
    marks = b"DIRT" + bits
    return base_block(after, 1, 9) + marks.ljust(-(-len(marks) // 512) * 512, b"\0") + b"".join(changes.values())


DIRTY = hive(SYSTEM, sequences=(9, 8))
SECOND = hive(changed(SYSTEM, (f"{SERVICES}\\viostor", {"Start": 3})))
THIRD = hive(changed(SYSTEM, (f"{SERVICES}\\viostor", {"Start": 4})))
GROWN = hive({**SYSTEM, **MANY})
BINS = len(DIRTY) - 4096
ONE, TWO = entry(pages(DIRTY, SECOND, 4096), 8, BINS), entry(pages(SECOND, THIRD, 4096), 9, BINS)
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
    found = {one.NAME: judge(one, facts) for one in OURS}
    assert found["GUESTOS.Virtio"].code == "Virtio.NotAtBoot"
    assert found["GUESTOS.Registry"].value == ("SYSTEM: 1 entries of its log applied",)


# --- hostile ------------------------------------------------------------------------------------------------------------


def at_key(data: bytes, name: bytes) -> int:
    """Return where the cell of a key begins, behind its size."""
    return data.index(name, 4096) - 76


GOOD = hive(SYSTEM)
KEY = at_key(GOOD, b"Services")
LIST = 4096 + 4 + struct.unpack_from("<I", GOOD, KEY + 28)[0]
VIOSTOR = at_key(GOOD, b"viostor")
BASE: dict[str, bytes] = {
    "no bytes": b"",
    "a base block alone": GOOD[:4096],
    "cut within a bin": GOOD[:5000],
    "a wrong checksum": GOOD[:509] + b"\xff" + GOOD[510:],
    "version 4711": patched(GOOD, 24, struct.pack("<I", 4711)),
    "bins of 2^31": patched(GOOD, 40, struct.pack("<I", 1 << 31)),
    "bins of 2^32 - 4096": patched(GOOD, 40, struct.pack("<I", 0xFFFFF000)),
    "bins of 0": patched(GOOD, 40, bytes(4)),
    "the root at 2^31": patched(GOOD, 36, struct.pack("<I", 1 << 31)),
    "the root nowhere": patched(GOOD, 36, struct.pack("<I", 0xFFFFFFF8)),
    "the root in a bin's header": patched(GOOD, 36, struct.pack("<I", 0)),
    "the root in another key": patched(GOOD, 36, struct.pack("<I", KEY - 4096 + 4)),
}
"""Nothing of such a hive is read."""
WITHIN: dict[str, tuple[bytes, set[str]]] = {
    "a bin without its sign": (patched(GOOD, 4096, b"bins"), set()),
    "a bin of 0 bytes": (patched(GOOD, 4104, bytes(4)), set()),
    "a bin of 2^31 bytes": (patched(GOOD, 4104, struct.pack("<I", 1 << 31)), set()),
    "a key that is free": (patched(GOOD, KEY - 4, struct.pack("<i", 96)), {"Virtio", "Xen", "Server"}),
    "a key of 2^31 bytes": (patched(GOOD, KEY - 4, struct.pack("<i", -(1 << 31))), {"Virtio", "Xen", "Server"}),
    "a key of 8 bytes": (patched(GOOD, KEY - 4, struct.pack("<i", -8)), {"Virtio", "Xen", "Server"}),
    "2^32 - 1 keys nowhere": (patched(GOOD, KEY + 20, struct.pack("<III", 0xFFFFFFFF, 0, 0xFFFFFFF0)), {"Virtio", "Xen"}),
    "a list that is the key itself": (patched(GOOD, KEY + 28, struct.pack("<I", KEY - 4 - 4096)), {"Virtio", "Xen"}),
    "a list with no sign": (patched(GOOD, LIST, b"??"), {"Virtio", "Xen"}),
    "an index root of itself": (patched(GOOD, LIST, b"ri\x01\0" + struct.pack("<I", LIST - 4 - 4096)), {"Virtio", "Xen"}),
    "a key that is its list": (patched(GOOD, LIST + 4, struct.pack("<I", LIST - 4 - 4096)), {"CloudAssistant"}),
}
"""What it is asked for is not there: it is damaged, and what needs it is not judged."""
QUIET: dict[str, tuple[bytes, dict[str, str]]] = {
    "a key beneath itself": (patched(GOOD, LIST + 4, struct.pack("<I", KEY - 4 - 4096)), {"CloudAssistant": "warning"}),
    "2^31 values": (patched(GOOD, VIOSTOR + 36, struct.pack("<I", 1 << 31)), {}),
    "values nowhere": (patched(GOOD, VIOSTOR + 36, struct.pack("<II", 5, 0x7FFFFFF8)), {"Virtio": "unsupported"}),
    "values in the key itself": (patched(GOOD, VIOSTOR + 40, struct.pack("<I", VIOSTOR - 4 - 4096)), {"Virtio": "unsupported"}),
    "a name of 65535": (patched(GOOD, VIOSTOR + 72, b"\xff\xff"), {"Virtio": "failed"}),
}
"""Nothing outside the key itself is touched: the levels of all items that are not ok."""


def seconds_for_all(files: dict[str, bytes | None], esp: dict[str, bytes | None] | None = None) -> tuple[dict[str, str], float]:
    """Judge every item; returns their levels and how long that took, of this process alone."""
    facts, began = windows(files, esp), time.process_time()
    found = {one.NAME.partition(".")[2]: judge(one, facts) for one in OURS}
    assert all(one.level == "ok" or one.advice for one in found.values())
    return {name: one.level for name, one in found.items()}, time.process_time() - began


@pytest.mark.parametrize("data", BASE.values(), ids=BASE.keys())
def test_a_base_block_that_lies(data: bytes) -> None:
    levels, seconds = seconds_for_all({f"{CONFIG}/SYSTEM": data})
    assert seconds < 1
    assert levels["Registry"] == "failed"
    needing = ("Virtio", "Disk", "Xen", "Server", "DesktopConfig", "CloudAssistant", "Sysprep", "Update")
    assert {levels[name] for name in needing} == {"unsupported"}


@pytest.mark.parametrize(("data", "unjudged"), WITHIN.values(), ids=WITHIN.keys())
def test_damage_within_a_hive(data: bytes, unjudged: set[str]) -> None:
    levels, seconds = seconds_for_all({f"{CONFIG}/SYSTEM": data})
    assert seconds < 1
    assert levels["Registry"] == "failed"
    assert {name for name, level in levels.items() if level == "unsupported"} >= unjudged


@pytest.mark.parametrize(("data", "wanted"), QUIET.values(), ids=QUIET.keys())
def test_a_key_that_lies(data: bytes, wanted: dict[str, str]) -> None:
    levels, seconds = seconds_for_all({f"{CONFIG}/SYSTEM": data})
    assert seconds < 1
    assert {name: level for name, level in levels.items() if level != "ok"} == wanted


def dirty_with(log: bytes) -> dict[str, bytes | None]:
    return {f"{CONFIG}/SYSTEM": DIRTY, f"{CONFIG}/SYSTEM.LOG1": log}


PLACES: dict[str, tuple[bytes, Callable[[bytes], tuple[dict[str, bytes | None], dict[str, bytes | None]]]]] = {
    "SYSTEM": (GOOD, lambda data: ({f"{CONFIG}/SYSTEM": data}, {})),
    "SOFTWARE": (hive(SOFTWARE), lambda data: ({f"{CONFIG}/SOFTWARE": data}, {})),
    "BCD": (clean("BCD-gpt"), lambda data: ({}, {"/EFI/Microsoft/Boot/BCD": data})),
    "a log": (base_block(DIRTY, 6, 8) + ONE + TWO, lambda data: (dirty_with(data), {})),
    "an old log": (old_log(DIRTY, SECOND), lambda data: (dirty_with(data), {})),
}


@pytest.mark.parametrize("name", PLACES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 1 << 14),
)
def test_any_bytes_changed(name: str, changes: list[tuple[int, bytes]], cut: int | None) -> None:
    data, place = PLACES[name]
    for at, new in changes:
        data = patched(data, at % (len(data) - 4), new)
    files, esp = place(data[:cut])
    _, seconds = seconds_for_all(files, esp)
    assert seconds < 2


def bomb(make: Callable[[Writer], int]) -> bytes:
    """Return a SOFTWARE whose packages' list is made by `make`."""
    writer = Writer()
    tree = nested(changed(SOFTWARE, (PACKAGES, None), (PACKAGES, {"only": 1})))
    root = writer.key("ROOT", tree, is_root=True)
    listed = make(writer)
    key = writer.cells.index(b"Packages") - 76
    struct.pack_into("<I", writer.cells, key + 20, 0xFFFFFFFF)
    struct.pack_into("<I", writer.cells, key + 28, listed)
    return based(writer.bins(), root)


def leaves(writer: Writer, per_leaf: int, count: int) -> int:
    one = writer.key("Package_for_KB1", {})
    leaf = writer.cell(struct.pack(f"<2sH{per_leaf}I", b"li", per_leaf, *[one] * per_leaf))
    return writer.cell(struct.pack(f"<2sH{count}I", b"ri", count, *[leaf] * count))


def test_one_list_named_many_times_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "STEPS_MAX", 20_000)
    levels, seconds = seconds_for_all({f"{CONFIG}/SOFTWARE": bomb(lambda writer: leaves(writer, 2000, 60_000))})
    assert seconds < 2
    assert (levels["Hotfix"], levels["Update"], levels["Registry"]) == ("unsupported", "unsupported", "failed")


def hashes(writer: Writer) -> int:
    """Make lists of 30,000 names each, none of which has the hash of a name that is looked for: no key of them is read."""
    leaf = writer.cell(struct.pack("<2sH", b"lh", 30_000) + struct.pack("<II", writer.key("x", {}), 1) * 30_000)
    return writer.cell(struct.pack("<2sH60000I", b"ri", 60_000, *[leaf] * 60_000))


def test_lists_of_which_no_key_is_read_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "STEPS_MAX", 50_000)
    found, began = opened(bomb(hashes)), time.process_time()
    with pytest.raises(Unreadable) as reason:
        found.key(f"{PACKAGES}\\anything")
    assert (reason.value.code, time.process_time() - began < 2) == ("HiveTooMuch", True)


def test_more_packages_than_any_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windows.servicing.PACKAGES_MAX", 3)
    levels, _ = seconds_for_all({})
    assert (levels["Hotfix"], levels["Update"], levels["Registry"]) == ("unsupported", "unsupported", "failed")


def test_a_log_of_a_million_pages_ends() -> None:
    count = 1_000_000
    body = struct.pack("<II", 0, 0) * count
    log = base_block(DIRTY, 6, 8) + struct.pack("<4sIIIIIQQ", b"HvLE", LOG_BYTES_MAX - 512, 0, 8, BINS, count, 0, 0) + body
    began = time.process_time()
    with pytest.raises(Unreadable):
        opened(DIRTY, log[:LOG_BYTES_MAX])
    assert time.process_time() - began < 1


def test_a_hive_larger_than_any_is_not_judged() -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return GOOD[: size or 0]

    with pytest.raises(Unreadable) as reason:
        Hive("/hive", Endless(), 1 << 40)
    assert reason.value.code == "HiveTooLarge"


def test_select_may_name_anything() -> None:
    for number in (0, 2, 999, 0xFFFFFFFF):
        keys = changed(SYSTEM, ("Select", {"Current": number}))
        levels, _ = seconds_for_all({f"{CONFIG}/SYSTEM": hive(keys)})
        assert (levels["Registry"], levels["Virtio"], levels["Disk"]) == ("failed", "unsupported", "unsupported")
