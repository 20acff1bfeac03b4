# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the items judge: everything the inspection found, gathered once.

A part that could not be read is an `Unreadable` in place of its value, so that the items that need it say `unsupported` with the
reason, and the others are not harmed.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from disk import BIOS_BOOT, ESP, Part, Partition, is_luks, open_disk, partitions
from filesystem import ExtFileSystem, is_ext
from findings import FileText, Unreadable
from header import Header

T = TypeVar("T")
_ELF_MACHINES = {(2, 62): "x86_64", (2, 183): "arm64", (1, 3): "i386"}
_SHELLS = ("/bin/sh", "/usr/bin/env", "/bin/busybox", "/sbin/init", "/usr/bin/bash")
_KERNELS_MAX = 16
_BZIMAGE_BYTES = 64 * 1024


@dataclass(slots=True)
class Volume:
    """A partition, and what is on it."""

    partition: Partition
    kind: str
    uuid: str | None = None
    label: str | None = None
    files: ExtFileSystem | None = None


@dataclass(slots=True)
class Facts:
    """What was found. `unreadable` is why nothing beyond the header could be read, if so."""

    header: Header
    unreadable: Unreadable | None = None
    volumes: list[Volume] = field(default_factory=list)
    root: Volume | None = None
    os_release: dict[str, str] | Unreadable = field(default_factory=dict)
    os_release_file: FileText | None = None
    fstab: FileText | Unreadable | None = None
    kernels: list[str] | Unreadable = field(default_factory=list)
    architecture: str | Unreadable | None = None
    boot_mode: str | Unreadable | None = None
    root_reasons: list[Unreadable] = field(default_factory=list)


def gather(descriptor: int, header: Header, tell: Callable[[str, int, int], None]) -> Facts:
    """Read the image; `tell` hears (phase, done, total). Never raises for what is in the image."""
    facts = Facts(header)
    blocking = [trouble for trouble in header.troubles if not trouble.readable]
    if blocking or header.encrypted:
        first = blocking[0] if blocking else None
        facts.unreadable = Unreadable(first.code, first.text) if first else Unreadable("Encrypted", "the disk image is encrypted")
        return facts
    try:
        disk = open_disk(descriptor, header)
        found = partitions(disk, header.virtual_size_bytes)
        for number, partition in enumerate(found):
            tell("partitions", number, len(found))
            facts.volumes.append(_volume(disk, partition, facts.root_reasons))
        tell("partitions", len(found), len(found))
    except Unreadable as error:
        facts.unreadable = error
        return facts
    except Exception as error:  # noqa: BLE001 - the parsers read a stranger's bytes: whatever they raise is a finding
        facts.unreadable = _as_unreadable(error)
        return facts
    _find_root(facts)
    if facts.root is not None and facts.root.files is not None:
        _read_root(facts, facts.root.files, tell)
    facts.boot_mode = _boot_mode(facts, disk)
    return facts


def attempt(read: Callable[[], T]) -> T | Unreadable:
    """Return what `read` returns, or why it could not."""
    try:
        return read()
    except Unreadable as error:
        return error
    except Exception as error:  # noqa: BLE001 - as above
        return _as_unreadable(error)


def _as_unreadable(error: Exception) -> Unreadable:
    if isinstance(error, MemoryError):
        return Unreadable("OutOfMemory", "reading it takes more memory than the inspector may have")
    return Unreadable("Malformed", f"{type(error).__name__}: {error}"[:300])


def _volume(disk: BinaryIO, partition: Partition, reasons: list[Unreadable]) -> Volume:
    if is_luks(disk, partition):
        return Volume(partition, "luks")
    part = Part(disk, partition.offset_bytes, partition.size_bytes)
    if is_ext(part):
        opened = attempt(lambda: ExtFileSystem(part))
        if isinstance(opened, Unreadable):
            reasons.append(opened)
            return Volume(partition, "ext-unreadable")
        return Volume(partition, "ext", opened.uuid, opened.label, opened)
    part.seek(0)
    start = part.read(512)
    if start[510:512] == b"\x55\xaa" and (start[54:57] == b"FAT" or start[82:87] == b"FAT32"):
        at = 67 if start[82:87] == b"FAT32" else 39
        serial = struct.unpack("<I", start[at : at + 4])[0]
        label = start[at + 4 : at + 15].decode("ascii", "replace").strip()
        return Volume(partition, "fat", f"{serial >> 16:04X}-{serial & 0xFFFF:04X}", None if label == "NO NAME" else label)
    part.seek(4086)
    return Volume(partition, "swap" if part.read(10) == b"SWAPSPACE2" else "unknown")


def _find_root(facts: Facts) -> None:
    for volume in facts.volumes:
        if volume.files is None:
            continue
        for path in ("/etc/os-release", "/usr/lib/os-release"):
            files = volume.files
            found = attempt(lambda files=files, path=path: files.read_text(path))  # type: ignore[misc]
            if isinstance(found, Unreadable):
                facts.root_reasons.append(found)
                if facts.root is None:
                    facts.root, facts.os_release = volume, found
            elif found is not None:
                facts.root, facts.os_release_file, facts.os_release = volume, found, _parse_os_release(found)
                return


def _parse_os_release(file: FileText) -> dict[str, str]:
    """Parse os-release(5): shell-like assignments."""
    values: dict[str, str] = {}
    for line in file.lines[:200]:
        name, separator, value = line.strip().partition("=")
        if separator and name.isidentifier() and len(value) <= 256:
            values[name] = value.strip().strip("\"'")
    return values


def _read_root(facts: Facts, files: ExtFileSystem, tell: Callable[[str, int, int], None]) -> None:
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("fstab", lambda: files.read_text("/etc/fstab")),
        ("kernels", lambda: _kernels(files)),
        ("architecture", lambda: _architecture(files)),
    )
    for number, (name, read) in enumerate(steps):
        tell("files", number, len(steps))
        setattr(facts, name, attempt(read))
    tell("files", len(steps), len(steps))


def _kernels(files: ExtFileSystem) -> list[str]:
    """Return the releases of the kernels that can boot, newest name last: those in /boot, else those with modules."""
    found = []
    for name in files.names("/boot"):
        if name.startswith(("vmlinuz", "vmlinux", "kernel-", "Image")) and len(found) < _KERNELS_MAX:
            release = _bzimage_release(files.read_head(f"/boot/{name}", _BZIMAGE_BYTES) or b"")
            if release is None and name.startswith("vmlinuz-"):
                release = name.removeprefix("vmlinuz-")
            if release and release not in found:
                found.append(release)
    if not found:
        found = [name for name in files.names("/lib/modules") if name[:1].isdigit()][-_KERNELS_MAX:]
    return sorted(found, key=_version_key)


def _version_key(release: str) -> list[tuple[int, int, str]]:
    words = "".join(one if one.isalnum() else " " for one in release).split()
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]


def _bzimage_release(head: bytes) -> str | None:
    """Return the release in an x86 kernel image (Linux, Documentation/arch/x86/boot.rst: kernel_version)."""
    if head[0x202:0x206] != b"HdrS":
        return None
    at = struct.unpack("<H", head[0x20E:0x210])[0] + 0x200
    words = head[at : at + 128].split(b"\0")[0].split(b" ")
    return words[0].decode("ascii", "replace") or None


def _architecture(files: ExtFileSystem) -> str | None:
    """Return the architecture that the first program found was built for (ELF header: class and machine)."""
    for path in _SHELLS:
        head = files.read_head(path, 20)
        if head is not None and head[:4] == b"\x7fELF" and len(head) == 20:
            order = "<" if head[5] == 1 else ">"
            return _ELF_MACHINES.get((head[4], struct.unpack(f"{order}H", head[18:20])[0]))
    return None


def _boot_mode(facts: Facts, disk: BinaryIO) -> str | None:
    """Return how the disk boots: both ways counts as UEFI-Preferred, the reference platform's word for it."""
    disk.seek(0)
    first = disk.read(512)
    boot_code = first[510:512] == b"\x55\xaa" and any(first[:440])
    bios = boot_code or any(volume.partition.type == BIOS_BOOT for volume in facts.volumes)
    uefi = any(volume.partition.type == ESP and volume.kind == "fat" for volume in facts.volumes)
    if uefi:
        return "UEFI-Preferred" if bios else "UEFI"
    return "BIOS" if bios else None
