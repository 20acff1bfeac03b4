"""Disks that Debian's own tools make of a root, each another: partitions, file systems, LVM, boot loaders. Made once, cached."""

from __future__ import annotations

import json
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from demo.partitions import BIOS_BOOT_TYPE, ESP_TYPE, LINUX_ROOT_X86_64_TYPE, run
from tests.images.fetch import CACHE
from tests.images.roots import digest, locked, root

LINUX: Final = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
LVM: Final = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
_MADE_BY: Final = ("builder", "loaders")
"""The modules whose change makes every disk anew."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition or logical volume: what it is made with, its size, where it is mounted, its type.

    `subvolumes` of btrfs are (name, mount point); `volumes` are the logical volumes of a physical one, by name.
    """

    made: str
    mib: int
    mount: str | None = None
    type: str = LINUX
    name: str = ""
    logical: bool = False
    subvolumes: tuple[tuple[str, str], ...] = ()
    volumes: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A disk: which root, which kind of partition table, which of `LOADERS`, and its partitions."""

    root: str
    label: str
    loader: str
    parts: tuple[Part, ...]


_BIOS: Final = Part("", 1, type=BIOS_BOOT_TYPE)


def _esp(mib: int = 64, mount: str = "/boot/efi") -> Part:
    return Part("vfat", mib, mount, ESP_TYPE)


MACHINES: Final = {
    "hybrid": Machine("stable", "gpt", "grub", (_BIOS, _esp(), Part("ext4", 760, "/", LINUX_ROOT_X86_64_TYPE))),
    "mbr-logical": Machine(
        "oldstable", "dos", "grub-bios",
        (
            Part("ext2", 128, "/boot", "83"), Part("ext3", 1024, "/", "83", logical=True),
            Part("ext4", 320, "/var", "83", logical=True),
        ),
    ),
    "uefi-xfs": Machine(
        "oldstable", "gpt", "grub-efi",
        (_esp(), Part("ext3", 160, "/boot"), Part("xfs", 1024, "/"), Part("ext4", 320, "/var")),
    ),
    "lvm": Machine(
        "stable", "gpt", "grub",
        (
            _BIOS, _esp(), Part("ext4", 128, "/boot"),
            Part("lvm", 1400, type=LVM, volumes=(
                Part("ext4", 256, "/", name="root"), Part("xfs", 640, "/usr", name="usr"),
                Part("ext4", 320, "/var", name="var-lib"),
            )),
        ),
    ),
    "btrfs": Machine(
        "stable", "gpt", "grub",
        (_BIOS, _esp(), Part("btrfs", 1024, None, subvolumes=(("@", "/"), ("@home", "/home"), ("@var", "/var")))),
    ),
    "systemd-boot": Machine("stable-dracut", "gpt", "systemd-boot", (_esp(256), Part("xfs", 1024, "/", LINUX_ROOT_X86_64_TYPE))),
    "uki": Machine("stable-dracut", "gpt", "uki", (_esp(256, "/efi"), Part("ext4", 1024, "/", LINUX_ROOT_X86_64_TYPE))),
    "extlinux": Machine("oldstable-small", "dos", "extlinux", (Part("ext4", 760, "/", "83"),)),
}  # fmt: skip
"""One of each way to boot, of each file system, of each partitioning; all of them without a planted fault."""


def disk(name: str) -> Path:
    """Return the raw disk of a machine, made if it is not in the cache. Safe to call from several processes."""
    machine = MACHINES[name]
    tar = root(machine.root)
    sources = [Path(__file__).with_name(f"{module}.py").read_text() for module in _MADE_BY]
    path = CACHE / "machines" / f"{name}-{digest(astuple(machine), tar.name, *sources)}.raw"
    with locked(path):
        if not path.exists():
            for old in path.parent.glob(f"{name}-{'?' * 12}.*"):
                old.unlink()
            part = path.with_suffix(".part")
            run(["unshare", "--mount", sys.executable, "-m", "tests.images.builder", name, str(tar), str(part)])
            part.with_suffix(".places").rename(path.with_suffix(".json"))
            part.rename(path)
    return path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file system lies on a disk: its offset in bytes, and the options that it is mounted with."""

    offset: int
    options: str = ""


def places(name: str) -> dict[str, Place]:
    """Return where the file systems of a machine's disk lie, by mount point."""
    told = json.loads(disk(name).with_suffix(".json").read_text())
    return {point: Place(*values) for point, values in told.items()}
