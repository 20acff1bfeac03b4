# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the disk boots: what is there for firmware to start, not what a table says might be."""

from facts import Facts
from tree import Tree
from volumes.gpt import BIOS_BOOT, ESP
from volumes.volume import Volume


def boot_mode(facts: Facts) -> str | None:
    """Probe: BIOS, UEFI, or both, which the reference platform calls UEFI-Preferred; None where nothing boots it."""
    if facts.disk is None:
        return None
    facts.disk.seek(0)
    first = facts.disk.read(512)
    boot_code = first[510:512] == b"\x55\xaa" and any(first[:440])
    bios = boot_code or any(volume.partition.type == BIOS_BOOT for volume in facts.volumes)
    uefi = any(volume.partition.type == ESP and _has_loader(volume) for volume in facts.volumes)
    if uefi:
        return "UEFI-Preferred" if bios else "UEFI"
    return "BIOS" if bios else None


def _has_loader(volume: Volume) -> bool:
    """Whether an EFI program lies where firmware looks: /EFI/<vendor>/*.EFI. Source: UEFI Specification, 13.3.1.3."""
    if volume.files is None or volume.kind != "vfat":
        return False
    tree = Tree(volume.files)
    return any(name.endswith(".efi") for vendor in tree.names("/EFI") for name in tree.names(f"/EFI/{vendor}"))
