# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the boot configuration data lead to the Windows on this disk. Source: Microsoft, BCD reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from findings import Evidence, Item, Unreadable

if TYPE_CHECKING:
    from facts import Facts
    from windows.bcd import Entry, Store

NAME = "GUESTOS.BCD"
FAMILIES = frozenset({"windows"})
_ADVICE = {
    "BCD.Missing": "make the boot configuration anew: bcdboot C:\\Windows, on the system or from a recovery medium",
    "BCD.Damaged": "the store cannot be loaded: make it anew with bcdboot C:\\Windows",
    "BCD.NoEntry": "the boot manager has nothing to start: make the configuration anew with bcdboot C:\\Windows",
    "BCD.NoSuchDevice": "the entry names a partition of another disk: make it anew with bcdboot C:\\Windows",
    "BCD.NoLoader": "the entry's program is not there: make the configuration anew with bcdboot C:\\Windows",
    "BCD.NoSystem": "the entry starts no Windows that is there: correct osdevice and systemroot, or run bcdboot C:\\Windows",
}
_DAMAGED = frozenset({"HiveMalformed", "HiveDirty", "NoManager"})


def judge(facts: Facts) -> Item:
    """Follow the default entry of each store that the disk is started by to its program and its kernel."""
    from windows.bcd import BIOS_STORE, UEFI_STORE, has_esp, stores

    found = facts.get(stores)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "BCD.NotReadable", advice=f"the volumes could not be read: {found}")
    if not found:
        text = f"no {UEFI_STORE} on the EFI system partition" if has_esp(facts) else f"no {BIOS_STORE} on any partition"
        return Item(NAME, "failed", "BCD.Missing", evidence=(Evidence(text=text),), advice=_ADVICE["BCD.Missing"])
    judged = [_of_store(facts, store) for store in found]
    worst = next((one for level in ("failed", "unsupported", "warning") for one in judged if one.level == level), None)
    if worst is not None:
        return worst
    return Item(NAME, "ok", value=tuple(str(one.value) for one in judged), evidence=tuple(one.evidence[0] for one in judged))


def _of_store(facts: Facts, store: Store) -> Item:
    from windows.bcd import offered

    if isinstance(store.hive, Unreadable):
        return _unread(store, store.hive)
    try:
        entries = list(offered(facts, store, store.hive))
    except Unreadable as reason:
        return _unread(store, reason)
    if not entries:
        return _failed("BCD.NoEntry", Evidence(store.path, text="the boot manager names neither a default nor an order"))
    trouble = _trouble(facts, entries[0])
    if trouble is not None:
        return trouble
    others = [one for one in (_trouble(facts, entry) for entry in entries[1:]) if one is not None]
    if others:
        evidence = tuple(where for one in others for where in one.evidence)
        advice = "entries of the boot menu beside the default lead nowhere: take them out with bcdedit /delete"
        return Item(NAME, "warning", "BCD.OtherEntry", store.path, evidence, advice)
    return Item(NAME, "ok", value=f"{store.firmware}: {entries[0].path}", evidence=(entries[0].evidence,))


def _unread(store: Store, reason: Unreadable) -> Item:
    if reason.code in _DAMAGED:
        return _failed("BCD.Damaged", Evidence(store.path, text=str(reason)))
    return Item(NAME, "unsupported", "BCD.NotReadable", advice=f"{store.path} could not be read: {reason}")


def _failed(code: str, evidence: Evidence) -> Item:
    return Item(NAME, "failed", code, evidence=(evidence,), advice=_ADVICE[code])


def _trouble(facts: Facts, entry: Entry) -> Item | None:
    """Return what keeps an entry from starting; None where nothing does, or it starts no Windows by itself."""
    from windows.bcd import holders, is_loader

    if entry.kind is None or (is_loader(entry) and (entry.device is None or entry.os_device is None or not entry.path)):
        return _failed("BCD.NoEntry", entry.evidence)
    if not is_loader(entry):
        return None
    for device, path, code in (
        (entry.device, entry.path, "BCD.NoLoader"),
        (entry.os_device, f"{entry.system_root}\\System32\\ntoskrnl.exe", "BCD.NoSystem"),
    ):
        assert device is not None
        if not device.unread and not device.anywhere and device.volume is None:
            return _failed("BCD.NoSuchDevice", Evidence(entry.evidence.path, text=f"{entry.evidence.text}; {device.told}"))
        found = holders(facts, device, path)
        if found is None:
            advice = f"what the entry starts cannot be told: {device.told} is not read here"
            return Item(NAME, "unsupported", "BCD.NotJudged", evidence=(entry.evidence,), advice=advice)
        if not found:
            return _failed(code, Evidence(entry.evidence.path, text=f"{entry.evidence.text}; no {path} on {device.told}"))
    return None
