# SPDX-License-Identifier: AGPL-3.0-or-later
"""/etc/fstab: its entries, the volumes they name, and mounting those. Source: fstab(5)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from facts import Facts
from filesystems.base import FileSystem
from findings import FileText, Unreadable, attempt
from tree import Tree
from volumes.lvm import mapper_name
from volumes.volume import Volume

LINES_MAX = 1000
MOUNTS_MAX = 64
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
_BY = (
    ("/dev/disk/by-uuid/", "UUID"),
    ("/dev/disk/by-label/", "LABEL"),
    ("/dev/disk/by-partuuid/", "PARTUUID"),
    ("/dev/disk/by-partlabel/", "PARTLABEL"),
)
_KERNEL_FOLDERS = frozenset(
    {"disk", "md", "cciss", "ida", "rd", "block", "char", "zvol", "drbd", "nbd", "fd", "loop", "dm", "pts"}
)
"""Folders of /dev that are no volume group's."""
_FIRST_DISK = re.compile(r"/dev/(?:[shv]da|xvda|nvme0n1p|mmcblk0p)(\d{1,3})")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line that mounts something; `line` is its number from 1."""

    line: int
    device: str
    mount_point: str
    kind: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fstab:
    """The file, and its entries as far as `LINES_MAX`."""

    file: FileText
    entries: tuple[Entry, ...]


def fstab(facts: Facts) -> Fstab | None:
    """Probe: /etc/fstab; None where there is none."""
    file = facts.files().read_text("/etc/fstab")
    if file is None:
        return None
    return Fstab(file, tuple(_entries(file)))


def _entries(file: FileText) -> Iterator[Entry]:
    for number, line in enumerate(file.lines[:LINES_MAX], start=1):
        fields = [_OCTAL.sub(lambda found: chr(int(found[1], 8)), one) for one in line.split()]
        if fields and not fields[0].startswith("#"):
            device, point, kind, options = (*fields[:4], "", "", "")[:4]
            yield Entry(number, device, point, kind, tuple(options.split(",")) if options else ())


def named(spec: str) -> tuple[str, str] | None:
    """Return (tag, value) if `spec` names a device by UUID, LABEL, PARTUUID or PARTLABEL, in either form."""
    tag, separator, value = spec.partition("=")
    if separator and tag.upper() in _TAGS:
        return tag.upper(), value.strip('"')
    for folder, name in _BY:
        if spec.startswith(folder):
            return name, spec.removeprefix(folder)
    return None


def volume_of(tag: str, value: str, found: list[Volume]) -> Volume | None:
    """Return the volume that has `value` for its `tag`."""
    for volume in found:
        own = {
            "UUID": volume.uuid,
            "LABEL": volume.label,
            "PARTUUID": volume.partition.id_text,
            "PARTLABEL": volume.partition.name or None,
        }[tag]
        if own is not None and (own.lower() == value.lower() if tag.endswith("UUID") else own == value):
            return volume
    return None


def mapper_of(spec: str) -> str | None:
    """Return the name under /dev/mapper that `spec` means, in that form or as /dev/<group>/<volume>; None for other devices."""
    folder, separator, name = spec.removeprefix("/dev/").partition("/")
    if not spec.startswith("/dev/") or not separator or "/" in name:
        return None
    if folder == "mapper":
        return name
    return None if folder in _KERNEL_FOLDERS else mapper_name(folder, name)


def device_of(spec: str, found: list[Volume]) -> Volume | None:
    """Return the volume that `spec` names; by the kernel's name for a partition where the image's disk is the first."""
    tag = named(spec)
    if tag is not None:
        return volume_of(*tag, found)
    mapper, partition = mapper_of(spec), _FIRST_DISK.fullmatch(spec)
    for volume in found:
        own = volume.partition
        if mapper is not None and own.mapper == mapper:
            return volume
        if partition is not None and own.mapper is None and own.number == int(partition[1]):
            return volume
    return None


def is_as_mounted(tree: Tree, files: FileSystem) -> bool:
    """Whether the fstab in `tree` mounts the very subvolume `files` as the root, where it says which."""
    file = tree.read_text("/etc/fstab")
    root = next((entry for entry in _entries(file) if entry.mount_point == "/"), None) if file is not None else None
    if root is None or not any(option.startswith("subvol") for option in root.options):
        return False
    mounted = files.subvolume(",".join(root.options))
    return mounted.identity(mounted.root) == files.identity(files.root)


def mount_all(facts: Facts) -> None:
    """Show the file systems that fstab mounts, where it mounts them; what cannot be opened is left out."""
    known = facts.get(fstab)
    if not isinstance(known, Fstab):
        return
    for entry in known.entries[:MOUNTS_MAX]:
        if not entry.mount_point.startswith("/") or entry.mount_point == "/" or "bind" in entry.options:
            continue
        volume = device_of(entry.device, facts.volumes)
        files = None if volume is None else volume.files
        if files is not None:
            shown = attempt(lambda entry=entry, files=files: files.subvolume(",".join(entry.options)))  # type: ignore[misc]
            if not isinstance(shown, Unreadable):
                facts.files().mount(entry.mount_point, shown)
