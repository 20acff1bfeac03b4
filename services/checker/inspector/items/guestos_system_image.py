# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether this is a system disk at all, and all of it is as its first start leaves it."""

from facts import Facts
from findings import Evidence, Item

NAME = "GUESTOS.SystemImage"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Find no system disk in an empty file, a text, an installation medium or mere data."""
    advice = "register the disk of an installed system"
    if facts.header.format == "iso" or (any(volume.kind == "iso9660" for volume in facts.volumes) and facts.root is None):
        return Item(NAME, "failed", "SystemImage.InstallationMedium", "iso", advice=advice)
    if facts.root is not None:
        return _unfinished(facts) or Item(NAME, "ok", value=facts.root.partition.shown)
    if any(volume.kind in {"luks", "bitlocker"} for volume in facts.volumes) or facts.header.encrypted:
        return Item(NAME, "unsupported", "SystemImage.Encrypted", advice="the disk is encrypted and was not looked into")
    reason = facts.unreadable or (facts.root_reasons[0] if facts.root_reasons else None)
    if reason is not None:
        return Item(NAME, "unsupported", "SystemImage.NotReadable", advice=f"the disk could not be read: {reason}")
    kinds = sorted({volume.kind for volume in facts.volumes})
    if all(kind == "unknown" for kind in kinds):
        text = "no partition table and no file system that is known"
        return Item(NAME, "failed", "SystemImage.NoSystem", facts.header.format, (Evidence(text=text),), advice)
    text = f"file systems found: {str.join(chr(44) + chr(32), kinds)}; none holds an os-release or a Windows registry"
    return Item(NAME, "failed", "SystemImage.DataOnly", facts.header.format, (Evidence(text=text),), advice)


def _unfinished(facts: Facts) -> Item | None:
    """Find file systems that their first mount changes in a way that was not seen: what was judged is not what will start."""
    found = tuple(
        Evidence(text=f"{volume.partition.shown} ({volume.kind}): {volume.files.unfinished}")
        for volume in facts.volumes
        if volume.files is not None and volume.files.unfinished is not None
    )
    if not found:
        return None
    advice = (
        "shut the system down cleanly before its disk is copied, or mount each file system named once and unmount it"
        " (ext: e2fsck -f; Windows: powercfg /h off, then shutdown /s /t 0)"
    )
    return Item(NAME, "unsupported", "SystemImage.JournalNotReplayed", evidence=found, advice=advice)
