"""Whole disks of a Windows, made by the tools of NTFS, FAT and partition tables, with hives that hivex wrote."""

import lzma
from collections.abc import Mapping
from pathlib import Path

from tests.inspector.disks import MIB, tool
from tests.inspector.memory import facts_of
from tests.inspector.windows_roots import BOOT_FILES, PART_UUID, SIGNATURE, SYSTEM_FILES

assert facts_of
DATA = Path(__file__).with_name("data")
HIVES = {"SYSTEM": "system", "SOFTWARE": "software", "SAM": "other", "SECURITY": "other", "DEFAULT": "other"}
UEFI_STORE, BIOS_STORE = "/EFI/Microsoft/Boot/BCD", "/Boot/BCD"
BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
RESERVED = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"


def unpacked(name: str) -> bytes:
    """Return what is kept packed in `data`."""
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def ntfs(path: Path) -> Path:
    """Make the NTFS of a Windows that nothing is wrong with."""
    write_sparse(path, 0, unpacked("ntfs.img"))
    for name, kind in HIVES.items():
        put(path, f"/Windows/System32/config/{name}", unpacked(f"windows-{kind}.hive"))
    for place, content in SYSTEM_FILES.items():
        put(path, place, content)
    return path


def write_sparse(path: Path, at: int, content: bytes) -> None:
    """Write `content` at byte `at`, holes left out: most of a small file system is one."""
    with path.open("r+b" if path.exists() else "wb") as file:
        for start in range(0, len(content), 64 * 1024):
            piece = content[start : start + 64 * 1024]
            if piece != bytes(len(piece)):
                file.seek(at + start)
                file.write(piece)
        file.truncate(max(at + len(content), path.stat().st_size))


def put(image: Path, place: str, content: bytes) -> None:
    """Write a file into a folder of an NTFS, in place of one that is there; ntfscp makes no folders."""
    source = image.with_suffix(".file")
    source.write_bytes(content)
    tool("ntfscp", "-q", image, source, place.lstrip("/"))


def copied(image: Path, path: Path) -> Path:
    """Copy a file, holes left out."""
    tool("cp", "--sparse=always", image, path)
    return path


def on_gpt(path: Path, volume: Path, boot: Mapping[str, bytes | None] | None = None) -> Path:
    """Make a disk that boots by UEFI: an EFI system partition, the reserved one, and the system.

    `boot` are files to start by that are others than usual; None leaves one out.
    """
    size = volume.stat().st_size
    tool("truncate", "-s", str(size + 20 * MIB), path)
    rows = (
        "label: gpt",
        "start=1MiB, size=16MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        f"start=17MiB, size=1MiB, type={RESERVED}",
        f'start=18MiB, size={size // MIB}MiB, type={BASIC_DATA}, uuid={PART_UUID.upper()}, name="Basic data partition"',
    )
    tool("sfdisk", "-q", path, stdin="\n".join(rows))
    esp = path.with_suffix(".esp")
    tool("mkfs.vfat", "-F", "16", "-s", "1", "-C", esp, "16384")
    tool("mmd", "-i", esp, "::EFI", "::EFI/Boot", "::EFI/Microsoft", "::EFI/Microsoft/Boot")
    for place, content in {**BOOT_FILES, UEFI_STORE: unpacked("windows-bcd-gpt.hive"), **(boot or {})}.items():
        if content is not None:
            source = path.with_suffix(".file")
            source.write_bytes(content)
            tool("mcopy", "-i", esp, source, f"::{place}")
    return filled(path, {1: esp, 18: volume})


def on_mbr(path: Path, volume: Path, boot: Mapping[str, bytes | None] | None = None) -> Path:
    """Make a disk that boots by BIOS: one active partition that holds everything; `boot` as for `on_gpt`."""
    size = volume.stat().st_size
    own = copied(volume, path.with_suffix(".volume"))
    usual = {"/bootmgr": b"\xeb\x00 the boot manager", BIOS_STORE: unpacked("windows-bcd-mbr.hive")}
    for place, content in {**usual, **(boot or {})}.items():
        if content is not None:
            put(own, place, content)
    tool("truncate", "-s", str(size + 2 * MIB), path)
    tool("sfdisk", "-q", path, stdin=f"label: dos\nlabel-id: {SIGNATURE:#x}\nstart=1MiB, size={size // MIB}MiB, type=7, bootable")
    with path.open("r+b") as disk:
        disk.write(b"\x33\xc0\x8e\xd0")
    return filled(path, {1: own})


def filled(path: Path, parts: dict[int, Path]) -> Path:
    """Write each part at its place in MiB."""
    for mib, part in parts.items():
        write_sparse(path, mib * MIB, part.read_bytes())
    return path
