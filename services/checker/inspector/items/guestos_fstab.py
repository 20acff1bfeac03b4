# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether everything that fstab mounts at start is there. Source: fstab(5)."""

from facts import Facts
from findings import Evidence, Item, Unreadable, attempt
from linux.fstab import LINES_MAX, Entry, Fstab, device_of, fstab, mapper_of, named, volume_of
from volumes.volume import Volume

NAME = "GUESTOS.Fstab"
FAMILIES = frozenset({"linux"})
_ADVICE = "name the system disk's file systems by their UUID, and give what may be absent the option nofail"
_NEVER_THIS_DISK = ("/dev/sr", "/dev/fd", "/dev/cdrom")


def judge(facts: Facts) -> Item:
    """Compare each entry that names a device with what the disk holds."""
    if facts.root is None:
        return Item(NAME, "unsupported", "Fstab.NoRoot", advice="no root file system was found to read it from")
    found = facts.get(fstab)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Fstab.NotReadable", advice=f"/etc/fstab could not be read: {found}")
    if found is None:
        return Item(NAME, "ok", value="no /etc/fstab")
    return _judge_entries(found, facts.volumes)


def _judge_entries(found: Fstab, volumes: list[Volume]) -> Item:
    missing, unjudged = _missing(found, volumes)
    fatal = tuple(evidence for evidence, may_fail in missing if not may_fail)
    if fatal:
        advice = f"the system would wait for a device that is not there: {_ADVICE}"
        return Item(NAME, "failed", "Fstab.NoSuchDevice", len(fatal), fatal, advice)
    if len(found.file.lines) > LINES_MAX:
        return Item(NAME, "unsupported", "Fstab.TooLong", advice=f"more than {LINES_MAX} lines")
    if missing:
        absent = tuple(evidence for evidence, _ in missing)
        return Item(NAME, "warning", "Fstab.NoSuchDeviceNofail", len(absent), absent, _ADVICE)
    if unjudged:
        advice = f"kernel names change with the machine: {_ADVICE}"
        return Item(NAME, "warning", "Fstab.KernelName", len(unjudged), unjudged, advice)
    return Item(NAME, "ok", value=len(found.entries), evidence=(found.file.evidence(),))


def _missing(found: Fstab, volumes: list[Volume]) -> tuple[list[tuple[Evidence, bool]], tuple[Evidence, ...]]:
    """Return the entries whose device is missing, with whether it may be, and those that nobody can judge here."""
    missing: list[tuple[Evidence, bool]] = []
    unjudged: list[Evidence] = []
    for entry in found.entries:
        there = _is_there(entry.device, volumes)
        if there is None:
            unjudged.append(found.file.evidence(entry.line))
        elif not (there and _has_subvolume(entry, volumes)) and "noauto" not in entry.options:
            missing.append((found.file.evidence(entry.line), "nofail" in entry.options))
    return missing, tuple(unjudged)


def _has_subvolume(entry: Entry, volumes: list[Volume]) -> bool:
    """Whether the subvolume of a btrfs that the options name is there."""
    volume = device_of(entry.device, volumes)
    files = None if volume is None else volume.files
    if files is None or files.kind != "btrfs":
        return True
    return not isinstance(attempt(lambda: files.subvolume(",".join(entry.options)).root), Unreadable)


def _is_there(spec: str, volumes: list[Volume]) -> bool | None:
    """Whether the device that `spec` names is on the disk; None where that depends on the machine."""
    tag = named(spec)
    if tag is not None:
        return volume_of(*tag, volumes) is not None
    if not spec.startswith("/dev/"):
        return True  # tmpfs, proc, network file systems, swap files: no device of this disk
    mapper = mapper_of(spec)
    if mapper is not None:
        return any(volume.partition.mapper == mapper for volume in volumes)
    if spec.startswith(("/dev/md", "/dev/disk/")):
        return False
    digits = spec[len(spec.rstrip("0123456789")) :]
    numbers = {volume.partition.number for volume in volumes}
    # Which letter the disk gets is the machine's choice, the partition's number is not.
    return None if not digits or int(digits[:9]) in numbers or spec.startswith(_NEVER_THIS_DISK) else False
