# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the boot manager is where the firmware looks for it. Sources: Microsoft, bcdboot; UEFI specification 2.10, 3.5.1."""

import struct

from boot_mode import boot_mode
from facts import Facts
from findings import Evidence, Item, Unreadable
from volumes.volume import Volume

NAME = "GUESTOS.BootMgr"
FAMILIES = frozenset({"windows"})
_UEFI, _BIOS = "/EFI/Microsoft/Boot/bootmgfw.efi", "/bootmgr"
_FALLBACKS = {"x86_64": "bootx64.efi", "arm64": "bootaa64.efi", "i386": "bootia32.efi"}
_ADVICE = "put the boot manager back: bcdboot C:\\Windows, on the system or from a recovery medium"


def judge(facts: Facts) -> Item:
    """Look for it beside the boot configuration data: on the EFI system partition, or on the partition that a BIOS starts."""
    from windows.bcd import has_esp, trees

    known = facts.get(trees)
    if isinstance(known, Unreadable):
        return Item(NAME, "unsupported", "BootMgr.NotReadable", advice=f"the volumes could not be read: {known}")
    return _by_uefi(facts) if has_esp(facts) else _by_bios(facts)


def _by_uefi(facts: Facts) -> Item:
    from volumes.gpt import ESP
    from windows.bcd import tree_of
    from windows.version import architecture, machine_of

    partitions = [one for one in facts.volumes if one.partition.type == ESP and one.kind == "vfat"]
    found = [tree for one in partitions if (tree := tree_of(facts, one)) is not None]
    if not found:
        return Item(NAME, "unsupported", "BootMgr.NotReadable", advice="the EFI system partition could not be read")
    managers = [tree for tree in found if machine_of(tree.read_head(_UEFI, 4096) or b"") is not None]
    if not managers:
        return _missing(f"no {_UEFI} that is a program on the EFI system partition")
    told = facts.get(architecture)
    fallback = None if isinstance(told, Unreadable) else f"/EFI/Boot/{_FALLBACKS[told[0]]}"
    if fallback is not None and not any(tree.find_file(fallback) is not None for tree in managers):
        text = f"no {fallback}"
        advice = f"copy {_UEFI} to {fallback}: a new instance's firmware knows no other boot manager"
        return Item(NAME, "warning", "BootMgr.NoFallback", _UEFI, (Evidence(text=text),), advice)
    return Item(NAME, "ok", value="UEFI", evidence=(Evidence(_UEFI),))


def _by_bios(facts: Facts) -> Item:
    from windows.bcd import trees

    known = facts.get(trees)
    assert not isinstance(known, Unreadable)
    holders = [volume for volume, tree in known if (found := tree.find_file(_BIOS)) is not None and found.stat().size]
    if not holders:
        return _missing(f"no {_BIOS} on any partition, and no EFI system partition")
    if facts.get(boot_mode) is None:
        text = "the first sector holds no boot code, and there is no EFI system partition"
        advice = "write the boot code: bootrec /fixmbr, from a recovery medium"
        return Item(NAME, "failed", "BootMgr.NoBootCode", evidence=(Evidence(text=text),), advice=advice)
    active = _active(facts)
    if active is not None and not any(_is_at(volume, active) for volume in holders):
        text = f"{_BIOS} is on no active partition; active: {active or 'none'}"
        advice = f"make the partition active that holds {_BIOS}, with diskpart"
        return Item(NAME, "failed", "BootMgr.NotActive", evidence=(Evidence(text=text),), advice=advice)
    return Item(NAME, "ok", value="BIOS", evidence=(Evidence(_BIOS),))


def _active(facts: Facts) -> list[int] | None:
    """Return where the active partitions begin, in bytes, by the first sector; None where there is no table of partitions."""
    if facts.disk is None or all(volume.partition.number == 0 for volume in facts.volumes):
        return None
    facts.disk.seek(0)
    table = facts.disk.read(512)[446:510]
    entries = (table[at : at + 16] for at in range(0, len(table) - 15, 16))
    return [512 * int(struct.unpack_from("<I", entry, 8)[0]) for entry in entries if entry[0] == 0x80]


def _is_at(volume: Volume, starts: list[int]) -> bool:
    return volume.partition.offset_bytes in starts


def _missing(text: str) -> Item:
    return Item(NAME, "failed", "BootMgr.Missing", evidence=(Evidence(text=text),), advice=_ADVICE)
