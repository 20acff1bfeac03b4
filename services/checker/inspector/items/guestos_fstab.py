# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether everything that fstab mounts at start is there. Source: fstab(5)."""

from facts import Facts, Volume
from findings import Evidence, FileText, Item, Unreadable

NAME = "GUESTOS.Fstab"
LINES_MAX = 1000
_ADVICE = "name the system disk's file systems by their UUID, and give what may be absent the option nofail"
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")


def judge(facts: Facts) -> Item:
    """Compare each entry that names a device with what the disk holds."""
    if facts.root is None:
        return Item(NAME, "unsupported", "Fstab.NoRoot", advice="no root file system was found to read it from")
    if isinstance(facts.fstab, Unreadable):
        return Item(NAME, "unsupported", "Fstab.NotReadable", advice=f"/etc/fstab could not be read: {facts.fstab}")
    if facts.fstab is None:
        return Item(NAME, "ok", value="no /etc/fstab")
    return _judge_entries(facts.fstab, facts.volumes)


def _judge_entries(fstab: FileText, volumes: list[Volume]) -> Item:
    entries, missing, unjudged = _entries(fstab, volumes)
    fatal = tuple(evidence for evidence, may_fail in missing if not may_fail)
    if fatal:
        advice = f"the system would wait for a device that is not there: {_ADVICE}"
        return Item(NAME, "failed", "Fstab.NoSuchDevice", len(fatal), fatal, advice)
    if len(fstab.lines) > LINES_MAX:
        return Item(NAME, "unsupported", "Fstab.TooLong", advice=f"more than {LINES_MAX} lines")
    if missing:
        absent = tuple(evidence for evidence, _ in missing)
        return Item(NAME, "warning", "Fstab.NoSuchDeviceNofail", len(absent), absent, _ADVICE)
    if unjudged:
        advice = f"kernel names change with the machine: {_ADVICE}"
        return Item(NAME, "warning", "Fstab.KernelName", len(unjudged), unjudged, advice)
    return Item(NAME, "ok", value=entries, evidence=(fstab.evidence(),))


def _entries(fstab: FileText, volumes: list[Volume]) -> tuple[int, list[tuple[Evidence, bool]], tuple[Evidence, ...]]:
    """Return how many entries there are, those whose device is missing (and whether it may be), those nobody can judge here."""
    missing: list[tuple[Evidence, bool]] = []
    unjudged: list[Evidence] = []
    entries = 0
    for number, line in enumerate(fstab.lines[:LINES_MAX], start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        entries += 1
        options = fields[3].split(",") if len(fields) > 3 else []
        there = _is_there(fields[0], volumes)
        if there is None:
            unjudged.append(fstab.evidence(number))
        elif not there and "noauto" not in options:
            missing.append((fstab.evidence(number), "nofail" in options))
    return entries, missing, tuple(unjudged)


def _is_there(spec: str, volumes: list[Volume]) -> bool | None:
    """Whether the device that `spec` names is on the disk; None where that depends on the machine."""
    tag, separator, value = spec.partition("=")
    if separator and tag.upper() in _TAGS:
        return _has(tag.upper(), value.strip('"'), volumes)
    for folder, name in (
        ("/dev/disk/by-uuid/", "UUID"),
        ("/dev/disk/by-label/", "LABEL"),
        ("/dev/disk/by-partuuid/", "PARTUUID"),
    ):
        if spec.startswith(folder):
            return _has(name, spec.removeprefix(folder), volumes)
    if not spec.startswith("/dev/"):
        return True  # tmpfs, proc, network file systems, swap files: no device of this disk
    if spec.startswith(("/dev/mapper/", "/dev/md", "/dev/disk/")):
        return False
    digits = spec[len(spec.rstrip("0123456789")) :]
    numbers = {volume.partition.number for volume in volumes}
    # Which letter the disk gets is the machine's choice, the partition's number is not.
    return None if not digits or int(digits[:9]) in numbers or spec.startswith(("/dev/sr", "/dev/fd", "/dev/cdrom")) else False


def _has(tag: str, value: str, volumes: list[Volume]) -> bool:
    wanted = value.lower()
    for volume in volumes:
        found = {
            "UUID": volume.uuid,
            "LABEL": volume.label,
            "PARTUUID": None if volume.partition.id is None else str(volume.partition.id),
            "PARTLABEL": volume.partition.name or None,
        }[tag]
        if found is not None and (found.lower() == wanted if tag.endswith("UUID") else found == value):
            return True
    return False
