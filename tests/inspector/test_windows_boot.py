"""What starts a Windows: its boot configuration data and its boot manager, by UEFI and by BIOS, on one partition and on two."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import (
    BOOT_DEVICE,
    LOADER,
    MANAGER,
    MEMORY_TEST,
    bcd,
    changed,
    hive,
    on_gpt,
    on_mbr,
)
from tests.inspector.windows_roots import ON_GPT, ON_MBR, SIGNATURE, START, Change, Ntfs, judged, windows, with_hive

from facts import Facts  # isort: skip
from findings import Item  # isort: skip
from volumes.volume import Partition, Volume  # isort: skip

assert facts_of


def with_bcd(*changes: Change, uefi: bool = True, device: bytes | None = None) -> Facts:
    own = device or (ON_GPT if uefi else ON_MBR)
    return with_hive("BCD", changed(bcd(own, uefi=uefi), *changes), uefi=uefi)


ELEMENTS = f"Objects\\{LOADER}\\Elements"
OTHER = "{00000000-1111-4222-8333-444444444444}"
LOCATE = bytes(16) + struct.pack("<IIII", 8, 0, 60, 0) + bytes(40)
RAMDISK = bytes(16) + struct.pack("<IIII", 0, 1, 60, 0) + bytes(40)
STORES: dict[str, tuple[Callable[[], Facts], str, str | None]] = {
    "no store for UEFI": (lambda: windows(esp={"/EFI/Microsoft/Boot/BCD": None}), "failed", "BCD.Missing"),
    "no store for BIOS": (lambda: windows({"/Boot/BCD": None}, uefi=False), "failed", "BCD.Missing"),
    "no hive": (lambda: windows(esp={"/EFI/Microsoft/Boot/BCD": b"boot"}), "failed", "BCD.Damaged"),
    "an empty hive": (lambda: with_hive("BCD", {"Objects": {}}), "failed", "BCD.Damaged"),
    "another partition": (lambda: with_bcd(device=on_gpt(bytes(range(16)))), "failed", "BCD.NoSuchDevice"),
    "another disk": (lambda: with_bcd(uefi=False, device=on_mbr(START, SIGNATURE + 1)), "failed", "BCD.NoSuchDevice"),
    "another place": (lambda: with_bcd(uefi=False, device=on_mbr(START * 2, SIGNATURE)), "failed", "BCD.NoSuchDevice"),
    "the boot manager's partition, which is another": (lambda: with_bcd(device=BOOT_DEVICE), "failed", "BCD.NoLoader"),
    "the boot manager's partition": (lambda: with_bcd(uefi=False, device=BOOT_DEVICE), "ok", None),
    "looked for": (lambda: with_bcd(device=LOCATE), "ok", None),
    "a RAM disk": (lambda: with_bcd(device=RAMDISK), "unsupported", "BCD.NotJudged"),
    "a device cut off": (lambda: with_bcd(device=ON_GPT[:40]), "unsupported", "BCD.NotJudged"),
    "no entries": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\23000003", None), (f"Objects\\{MANAGER}\\Elements\\24000001", None)),
        "failed",
        "BCD.NoEntry",
    ),
    "an order without a default": (lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\23000003", None)), "ok", None),
    "a default that is not there": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\23000003", {"Element": OTHER})),
        "failed",
        "BCD.NoEntry",
    ),
    "another entry that is not there": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\24000001", {"Element": [LOADER, OTHER]})),
        "warning",
        "BCD.OtherEntry",
    ),
    "a memory test beside it": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\24000001", {"Element": [LOADER, MEMORY_TEST]})),
        "ok",
        None,
    ),
    "no path": (lambda: with_bcd((f"{ELEMENTS}\\12000002", None)), "failed", "BCD.NoEntry"),
    "another folder": (lambda: with_bcd((f"{ELEMENTS}\\22000002", {"Element": "\\Winnt"})), "failed", "BCD.NoSystem"),
    "no device of the system": (lambda: with_bcd((f"{ELEMENTS}\\21000001", None)), "failed", "BCD.NoEntry"),
}


@pytest.mark.parametrize(("facts", "level", "code"), STORES.values(), ids=STORES.keys())
def test_boot_configuration(facts: Callable[[], Facts], level: str, code: str | None) -> None:
    found = judged("BCD", facts())
    assert (found.level, found.code) == (level, code), found
    assert found.evidence
    assert level == "ok" or found.advice


def test_a_system_whose_boot_manager_has_a_partition_of_its_own() -> None:
    facts = windows({"/bootmgr": None, "/Boot/BCD": None}, uefi=False)
    assert facts.root is not None
    assert facts.disk is not None
    own = Volume(Partition(1, START * 512, START, None, f"{SIGNATURE:08x}-02"), "ntfs")
    facts.volumes.insert(0, own)
    table = struct.pack("<B3xB3xII", 0x80, 7, START, 2048) + struct.pack("<B3xB3xII", 0, 7, START // 512, 1 << 21)
    facts.disk.seek(446)
    facts.disk.write(table)
    # Empty, it is what a BIOS starts in vain.
    own.files = Ntfs({"/x": b""})
    assert [judged(name, facts).code for name in ("BCD", "BootMgr")] == ["BCD.Missing", "BootMgr.Missing"]
    own.files = Ntfs({"/bootmgr": b"\xeb", "/Boot/BCD": hive(bcd(ON_MBR, uefi=False))})
    again = replace(facts, _known={})
    assert [judged(name, again).level for name in ("BCD", "BootMgr")] == ["ok", "ok"]
    # Its own partition is not where Windows is.
    own.files = Ntfs({"/bootmgr": b"\xeb", "/Boot/BCD": hive(bcd(BOOT_DEVICE, uefi=False))})
    assert judged("BCD", replace(facts, _known={})).code == "BCD.NoLoader"


MANAGERS: dict[str, tuple[Callable[[], Facts], str, str | None]] = {
    "none for UEFI": (lambda: windows(esp={"/EFI/Microsoft/Boot/bootmgfw.efi": None}), "failed", "BootMgr.Missing"),
    "no program": (lambda: windows(esp={"/EFI/Microsoft/Boot/bootmgfw.efi": bytes(512)}), "failed", "BootMgr.Missing"),
    "no fallback": (lambda: windows(esp={"/EFI/Boot/bootx64.efi": None}), "warning", "BootMgr.NoFallback"),
    "none for BIOS": (lambda: windows({"/bootmgr": None}, uefi=False), "failed", "BootMgr.Missing"),
    "an empty one for BIOS": (lambda: windows({"/bootmgr": b""}, uefi=False), "failed", "BootMgr.Missing"),
    "in any case": (lambda: windows({"/bootmgr": None, "/BOOTMGR": b"\xeb"}, uefi=False), "ok", None),
}


@pytest.mark.parametrize(("facts", "level", "code"), MANAGERS.values(), ids=MANAGERS.keys())
def test_boot_manager(facts: Callable[[], Facts], level: str, code: str | None) -> None:
    found = judged("BootMgr", facts())
    assert (found.level, found.code) == (level, code), found


def test_a_bios_starts_what_is_active_and_has_boot_code() -> None:
    facts = windows(uefi=False)
    assert facts.disk is not None
    good = facts.disk.read()

    def with_sector(sector: bytes) -> Item:
        other = windows(uefi=False)
        assert other.disk is not None
        other.disk.seek(0)
        other.disk.write(sector)
        return judged("BootMgr", other)

    assert with_sector(good).level == "ok"
    assert with_sector(bytes(440) + good[440:]).code == "BootMgr.NoBootCode"
    assert with_sector(good[:446] + b"\0" + good[447:]).code == "BootMgr.NotActive"
    moved = bytearray(good)
    moved[454:458] = struct.pack("<I", 4711)
    assert with_sector(bytes(moved)).code == "BootMgr.NotActive"
