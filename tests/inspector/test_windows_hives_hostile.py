"""Hostile hives and logs: they end in bounded time, and no item that needs them is ok."""

import io
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import windows.hive as parser
from findings import Unreadable
from tests.inspector.windows_hives import BINS, DIRTY, ONE, SECOND, TWO, base_block, old_log, opened, patched
from tests.inspector.windows_registry import PACKAGES, SOFTWARE, SYSTEM, Writer, based, changed, hive, nested
from tests.inspector.windows_roots import CONFIG, OURS, clean, judged, windows
from windows.hive import Hive
from windows.hive_logs import LOG_BYTES_MAX


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
    found = {name: judged(name, facts) for name in OURS}
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
