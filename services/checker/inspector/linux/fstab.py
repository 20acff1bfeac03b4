# SPDX-License-Identifier: AGPL-3.0-or-later
"""/etc/fstab: its entries, the volumes they name, and mounting those. Source: fstab(5)."""

import re
from dataclasses import dataclass

from facts import Facts
from findings import FileText
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
    entries = []
    for number, line in enumerate(file.lines[:LINES_MAX], start=1):
        fields = [_OCTAL.sub(lambda found: chr(int(found[1], 8)), one) for one in line.split()]
        if fields and not fields[0].startswith("#"):
            device, point, kind, options = (*fields[:4], "", "", "")[:4]
            entries.append(Entry(number, device, point, kind, tuple(options.split(",")) if options else ()))
    return Fstab(file, tuple(entries))


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


def mount_all(facts: Facts) -> None:
    """Show the file systems that fstab mounts, where it mounts them."""
    known = facts.get(fstab)
    if not isinstance(known, Fstab):
        return
    for entry in known.entries[:MOUNTS_MAX]:
        tag = named(entry.device)
        if tag is None or not entry.mount_point.startswith("/") or entry.mount_point == "/":
            continue
        volume = volume_of(*tag, facts.volumes)
        if volume is not None and volume.files is not None:
            facts.files().mount(entry.mount_point, volume.files.subvolume(",".join(entry.options)))
