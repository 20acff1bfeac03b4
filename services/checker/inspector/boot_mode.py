# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the disk boots."""

from facts import Facts
from volumes.gpt import BIOS_BOOT, ESP


def boot_mode(facts: Facts) -> str | None:
    """Probe: BIOS, UEFI, or both, which the reference platform calls UEFI-Preferred; None where nothing boots it."""
    if facts.disk is None:
        return None
    facts.disk.seek(0)
    first = facts.disk.read(512)
    boot_code = first[510:512] == b"\x55\xaa" and any(first[:440])
    bios = boot_code or any(volume.partition.type == BIOS_BOOT for volume in facts.volumes)
    uefi = any(volume.partition.type == ESP and volume.kind == "vfat" for volume in facts.volumes)
    if uefi:
        return "UEFI-Preferred" if bios else "UEFI"
    return "BIOS" if bios else None
