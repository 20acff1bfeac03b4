# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether everything that fstab mounts at start is there. Source: fstab(5)."""

from facts import Facts
from findings import Evidence, Item, Unreadable, attempt
from linux.devices import is_there, may_hold
from linux.fstab import LINES_MAX, Entry, Fstab, device_of, fstab
from volumes.volume import Volume

NAME = "GUESTOS.Fstab"
FAMILIES = frozenset({"linux"})
_ADVICE = "name the system disk's file systems by their UUID, and give what may be absent the option nofail"


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
    fatal = [entry for entry in missing if "nofail" not in entry.options]
    absent = tuple(found.file.evidence(entry.line) for entry in fatal if not may_hold(entry.device, volumes))
    if absent:
        advice = f"the system would wait for a device that is not there: {_ADVICE}"
        return Item(NAME, "failed", "Fstab.NoSuchDevice", len(absent), absent, advice)
    if fatal:
        lines = tuple(found.file.evidence(entry.line) for entry in fatal)
        advice = "what these lines name may be on a volume of the disk that could not be read"
        return Item(NAME, "unsupported", "Fstab.VolumeNotReadable", len(lines), lines, advice)
    if len(found.file.lines) > LINES_MAX:
        return Item(NAME, "unsupported", "Fstab.TooLong", advice=f"more than {LINES_MAX} lines")
    if missing:
        lines = tuple(found.file.evidence(entry.line) for entry in missing)
        return Item(NAME, "warning", "Fstab.NoSuchDeviceNofail", len(lines), lines, _ADVICE)
    if unjudged:
        advice = f"kernel names change with the machine: {_ADVICE}"
        return Item(NAME, "warning", "Fstab.KernelName", len(unjudged), unjudged, advice)
    return Item(NAME, "ok", value=len(found.entries), evidence=(found.file.evidence(),))


def _missing(found: Fstab, volumes: list[Volume]) -> tuple[list[Entry], tuple[Evidence, ...]]:
    """Return the entries whose device is missing, and the lines of those that nobody can judge here."""
    missing: list[Entry] = []
    unjudged: list[Evidence] = []
    for entry in found.entries:
        there = is_there(entry.device, volumes)
        # tmpfs, proc, network file systems, swap files: no device of this disk.
        if there is None and entry.device.startswith("/dev/"):
            unjudged.append(found.file.evidence(entry.line))
        elif there is not None and not (there and _has_subvolume(entry, volumes)) and "noauto" not in entry.options:
            missing.append(entry)
    return missing, tuple(unjudged)


def _has_subvolume(entry: Entry, volumes: list[Volume]) -> bool:
    """Whether the subvolume of a btrfs that the options name is there."""
    volume = device_of(entry.device, volumes)
    files = None if volume is None else volume.files
    if files is None or files.kind != "btrfs":
        return True
    return not isinstance(attempt(lambda: files.subvolume(",".join(entry.options)).root), Unreadable)
