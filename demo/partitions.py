"""Assembling a bootable GPT disk from a file system image, without root rights, mounts or loop devices.

The layout boots by BIOS (GRUB's core in a partition of its own) and by UEFI (GRUB as the removable
medium's loader on an EFI system partition). Field offsets in GRUB's boot sectors are those of its
``boot.h`` (boot.img, 512 bytes) and ``diskboot.h`` (first sector of core.img).
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECTOR_BYTES = 512
MIB = 1024 * 1024
BIOS_START_MIB = 1
ESP_START_MIB = 2
ESP_SIZE_MIB = 16
ROOT_START_MIB = ESP_START_MIB + ESP_SIZE_MIB
SYSTEM_TOOL_FOLDERS = ("/usr/sbin", "/sbin")
TAIL_MIB = 1  # the backup GPT

BIOS_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX_ROOT_X86_64_TYPE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"

_BOOT_KERNEL_SECTOR = 0x5C
_BOOT_DRIVE_CHECK = 0x66
_BOOT_CODE_END = 0x1B8  # past it: disk signature and partition table
_DISKBOOT_START_SECTOR = 0x1F4
_NOPS = b"\x90\x90"


@dataclass(frozen=True, slots=True)
class Loader:
    """GRUB's three files, as ``grub-mkimage`` and its package made them."""

    boot_sector: bytes
    core: bytes
    efi: Path


def run(command: list[str], *, stdin: str | None = None) -> str:
    """Run a tool, return its standard output.

    Raises:
        subprocess.CalledProcessError: it failed; its standard error is in the exception.
    """
    environment = {**os.environ, "PATH": _tool_path()}
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, env=environment)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def assemble(disk: Path, root: Path, loader: Loader, *, esp_volume_id: str, disk_id: str) -> None:
    """Write a raw disk with BIOS boot partition, EFI system partition and `root` as its third partition.

    Args:
        disk: the file to write; sparse.
        root: a file system image, a whole number of MiB.
        loader: GRUB's parts.
        esp_volume_id: FAT serial number, eight hexadecimal digits.
        disk_id: GUID of the partition table.
    """
    root_mib = -(-root.stat().st_size // MIB)
    with disk.open("wb") as file:
        file.truncate((ROOT_START_MIB + root_mib + TAIL_MIB) * MIB)
    sector = MIB // SECTOR_BYTES
    table = "\n".join(
        [
            "label: gpt",
            f"label-id: {disk_id}",
            f"start={BIOS_START_MIB * sector}, size={sector}, type={BIOS_BOOT_TYPE}, name=bios",
            f"start={ESP_START_MIB * sector}, size={ESP_SIZE_MIB * sector}, type={ESP_TYPE}, name=esp",
            f"start={ROOT_START_MIB * sector}, size={root_mib * sector}, type={LINUX_ROOT_X86_64_TYPE}, name=root",
            "",
        ]
    )
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(disk)], stdin=table)
    _write_esp(disk, loader.efi, esp_volume_id)
    _write_bios_loader(disk, loader)
    _copy_sparse(root, disk, ROOT_START_MIB * MIB)


def _write_esp(disk: Path, efi: Path, volume_id: str) -> None:
    drive = f"{disk}@@{ESP_START_MIB}M"
    run(["mformat", "-i", drive, "-N", volume_id, "-v", "ESP", "-T", str(ESP_SIZE_MIB * MIB // SECTOR_BYTES), "::"])
    run(["mmd", "-i", drive, "::/EFI", "::/EFI/BOOT"])
    run(["mcopy", "-i", drive, str(efi), "::/EFI/BOOT/BOOTX64.EFI"])


def _write_bios_loader(disk: Path, loader: Loader) -> None:
    """Put the loader before the partition table and into its partition.

    Raises:
        ValueError: core.img does not fit its partition.
    """
    if len(loader.core) > MIB:
        message = f"GRUB's core image has {len(loader.core)} bytes, more than the {MIB} of its partition"
        raise ValueError(message)
    write_bios_loader(disk, loader.boot_sector, loader.core, BIOS_START_MIB * MIB // SECTOR_BYTES)


def write_bios_loader(disk: Path, boot_sector: bytes, core: bytes, core_sector: int) -> None:
    """Put boot.img before the partition table and core.img at `core_sector`, each told where the next part lies."""
    boot = bytearray(boot_sector)
    struct.pack_into("<Q", boot, _BOOT_KERNEL_SECTOR, core_sector)
    boot[_BOOT_DRIVE_CHECK : _BOOT_DRIVE_CHECK + 2] = _NOPS  # some BIOSes pass a wrong drive number
    patched = bytearray(core)
    struct.pack_into("<Q", patched, _DISKBOOT_START_SECTOR, core_sector + 1)
    with disk.open("r+b") as file:
        file.write(boot[:_BOOT_CODE_END])
        file.seek(core_sector * SECTOR_BYTES)
        file.write(patched)


def _copy_sparse(source: Path, target: Path, offset_bytes: int) -> None:
    run(
        [
            "dd",
            f"if={source}",
            f"of={target}",
            f"bs={MIB}",
            f"seek={offset_bytes // MIB}",
            "conv=sparse,notrunc",
            "status=none",
        ]
    )


def copy_disk(source: Path, target: Path) -> None:
    """Copy a disk image, keeping its holes."""
    run(["cp", "--sparse=always", "--reflink=auto", str(source), str(target)])


def missing_tools(names: dict[str, str]) -> list[str]:
    """Return the packages of the commands in `names` (command → Debian package) that this machine does not have."""
    return sorted({package for command, package in names.items() if shutil.which(command, path=_tool_path()) is None})


def _tool_path() -> str:
    """Return the search path with the folders of system tools, which an ordinary user's lacks on Debian."""
    return ":".join([os.environ.get("PATH", ""), *SYSTEM_TOOL_FOLDERS])
