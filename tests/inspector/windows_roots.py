"""A clean Windows in memory: the files that the items look at, on an NTFS with or without an EFI system partition before it."""

import io
import struct
import uuid
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Final

from containers import Header
from facts import Facts
from findings import Item
from items import ITEMS, judge
from shared.contracts.rules import declared_items
from tests.inspector.memory import File, MemoryFileSystem
from tests.inspector.windows_registry import SOFTWARE, SYSTEM, Data, Keys, bcd, hive, on_gpt, on_mbr
from tree import Tree
from volumes.gpt import ESP
from volumes.volume import Partition, Volume

CONFIG: Final = "/Windows/System32/config"
PART_UUID: Final = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
SIGNATURE: Final = 0xCAFE0002
START: Final = 1 << 20
PROGRAM: Final = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", 0x8664) + bytes(58)
"""The beginning of a program for x86_64."""
ON_GPT: Final = on_gpt(uuid.UUID(PART_UUID).bytes_le)
ON_MBR: Final = on_mbr(START, SIGNATURE)
Files = Mapping[str, bytes | None]

SYSTEM_FILES: Final[Mapping[str, bytes]] = {
    "/Windows/System32/ntoskrnl.exe": PROGRAM,
    "/Windows/System32/winload.exe": PROGRAM,
    "/Windows/System32/winload.efi": PROGRAM,
    "/Windows/System32/drivers/viostor.sys": PROGRAM,
    "/Windows/System32/drivers/netkvm.sys": PROGRAM,
    "/Windows/System32/drivers/partmgr.sys": PROGRAM,
    "/Windows/System32/svchost.exe": PROGRAM,
    "/ProgramData/aliyun/assist/2.1.4.965/aliyun_assist_service.exe": PROGRAM,
    "/Users/Public/Desktop/desktop.ini": b"\xff\xfe[\0",
    "/Users/Administrator/Documents/notes.txt": b"nothing of note\r\n",
}
BOOT_FILES: Final[Mapping[str, bytes]] = {
    "/EFI/Microsoft/Boot/bootmgfw.efi": PROGRAM,
    "/EFI/Boot/bootx64.efi": PROGRAM,
}
BY_NAME: Final = {one.NAME.partition(".")[2]: one for one in ITEMS}
OURS: Final = sorted(name for name, one in BY_NAME.items() if one.NAME in declared_items("2", "windows"))
"""The items that need no rules nor databases."""
Change = tuple[str, Mapping[str, Data | None] | None]
"""A key of a hive, and what changes in it; None takes it away."""


@cache
def clean(name: str) -> bytes:
    """Return a clean hive by its name; BCD-gpt and BCD-mbr are those of a disk with such a table."""
    keys: Mapping[str, Keys] = {
        "SYSTEM": SYSTEM,
        "SOFTWARE": SOFTWARE,
        "BCD-gpt": bcd(ON_GPT, uefi=True),
        "BCD-mbr": bcd(ON_MBR, uefi=False),
    }
    return hive(keys.get(name, {"Keys": {}}))


class Ntfs(MemoryFileSystem):
    """Files whose names are found in any case."""

    kind: ClassVar[str] = "ntfs"
    ignores_case: ClassVar[bool] = True


class Fat(Ntfs):
    kind: ClassVar[str] = "vfat"


def windows(files: Files | None = None, esp: Files | None = None, *, uefi: bool = True) -> Facts:
    """Return the facts of a clean Windows with some files changed: None leaves one out."""
    own: dict[str, bytes | None] = {
        f"{CONFIG}/{name}": clean(name) for name in ("SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT")
    }
    own |= SYSTEM_FILES
    if not uefi:
        own |= {"/bootmgr": b"\xeb\x00 boot manager", "/Boot/BCD": clean("BCD-mbr")}
    identifier = PART_UUID if uefi else f"{SIGNATURE:08x}-01"
    system = Volume(
        Partition(2 if uefi else 1, START, 1 << 30, None, identifier), "ntfs", files=Ntfs(_kept({**own, **(files or {})}))
    )
    volumes = [system]
    if uefi:
        boot = {**BOOT_FILES, "/EFI/Microsoft/Boot/BCD": clean("BCD-gpt"), **(esp or {})}
        volumes.insert(0, Volume(Partition(1, 1 << 19, 1 << 19, ESP, str(uuid.UUID(int=7))), "vfat", files=Fat(_kept(boot))))
    assert system.files is not None
    disk = io.BytesIO(_first_sector(is_active=not uefi))
    return Facts(Header("raw", 1 << 31, 1 << 31), disk, None, volumes, system, Tree(system.files))


def with_hive(name: str, keys: Keys, *, uefi: bool = True) -> Facts:
    """Return the facts of a Windows with one hive of its own: SYSTEM, SOFTWARE or BCD."""
    if name != "BCD":
        return windows({f"{CONFIG}/{name}": hive(keys)}, uefi=uefi)
    path = "/EFI/Microsoft/Boot/BCD" if uefi else "/Boot/BCD"
    return windows(esp={path: hive(keys)}) if uefi else windows({path: hive(keys)}, uefi=False)


def judged(name: str, facts: Facts) -> Item:
    """Return what the item of this name, without its group, finds."""
    return judge(BY_NAME[name], facts)


def _kept(files: Files) -> dict[str, File | bytes | str]:
    return {path: content for path, content in files.items() if content is not None}


def _first_sector(*, is_active: bool) -> bytes:
    entry = (
        struct.pack("<B3xB3xII", 0x80, 7, START // 512, 1 << 21) if is_active else struct.pack("<B3xB3xII", 0, 0xEE, 1, 1 << 22)
    )
    code = b"\x33\xc0" if is_active else b""
    return code.ljust(440, b"\0") + struct.pack("<IH", SIGNATURE, 0) + entry.ljust(64, b"\0") + b"\x55\xaa"
