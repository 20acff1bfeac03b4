# SPDX-License-Identifier: AGPL-3.0-or-later
"""The boot configuration data: a hive beside the boot manager that says what it starts, and from which partition.

Sources: Microsoft, BCD reference (element types); G. Chappell, BCD elements and devices.
"""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from facts import Facts
from findings import Evidence, Unreadable, attempt
from tree import Tree
from volumes.gpt import ESP
from volumes.volume import Volume
from windows.hive import Hive, Key
from windows.registry import hive_at

UEFI_STORE, BIOS_STORE = "/EFI/Microsoft/Boot/BCD", "/Boot/BCD"
_MANAGER = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
_LOADER = 0x10200003
_DEFAULT, _ORDER, _DEVICE, _PATH, _OS_DEVICE, _SYSTEM_ROOT = (
    "23000003",
    "24000001",
    "11000001",
    "12000002",
    "21000001",
    "22000002",
)
_ENTRIES_MAX = 64
_BOOT, _PARTITION, _LOCATE = 5, 6, 8
_GPT_ID_CHARACTERS = 36


@dataclass(frozen=True, slots=True)
class Store:
    """A store: for which firmware, on which volume, the hive or why it cannot be read."""

    firmware: str
    volume: Volume
    path: str
    hive: Hive | Unreadable


@dataclass(frozen=True, slots=True)
class Device:
    """What an element names: `anywhere` where it is looked for by path, `volume` where it is on this disk.

    `unread` says what it is where it is nothing of a disk's own: a file, a RAM disk, the network.
    """

    told: str
    volume: Volume | None = None
    anywhere: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that the boot manager offers: what it is, where its program and its system are."""

    identifier: str
    kind: int | None
    device: Device | None
    path: str
    os_device: Device | None
    system_root: str
    evidence: Evidence


def trees(facts: Facts) -> list[tuple[Volume, Tree]]:
    """Probe: each volume whose files can be read, with its files; the system's own first."""
    found = [] if facts.root is None or facts.tree is None else [(facts.root, facts.tree)]
    own = None if facts.root is None else facts.root.partition
    others = [volume for volume in facts.volumes if volume.partition != own]
    return found + [(volume, Tree(volume.files)) for volume in others if volume.files is not None]


def tree_of(facts: Facts, volume: Volume) -> Tree | None:
    """Return the files of a volume; None where they cannot be read."""
    known = facts.get(trees)
    if isinstance(known, Unreadable):
        return None
    return next((tree for one, tree in known if one.partition == volume.partition), None)


def has_esp(facts: Facts) -> bool:
    """Whether the disk has an EFI system partition that firmware can read: then it boots by UEFI."""
    return any(volume.partition.type == ESP and volume.kind == "vfat" for volume in facts.volumes)


def stores(facts: Facts) -> list[Store]:
    """Probe: the stores in the places where boot managers look for them."""
    known = facts.get(trees)
    if isinstance(known, Unreadable):
        raise known
    found = []
    for volume, tree in known:
        wanted = [("UEFI", UEFI_STORE)] if volume.partition.type == ESP and volume.kind == "vfat" else [("BIOS", BIOS_STORE)]
        for firmware, path in wanted:
            there = attempt(lambda tree=tree, path=path: tree.find_file(path))  # type: ignore[misc]
            if there is not None:
                hive = attempt(lambda tree=tree, path=path: hive_at(tree, path))  # type: ignore[misc]
                found.append(Store(firmware, volume, path, hive))
    firmware = "UEFI" if has_esp(facts) else "BIOS"
    # A disk with both stores may be started both ways, but by BIOS Windows starts from an MBR alone.
    return [one for one in found if one.firmware == firmware or not _is_gpt(one.volume)]


def _is_gpt(volume: Volume) -> bool:
    return len(volume.partition.id_text or "") == _GPT_ID_CHARACTERS


def offered(facts: Facts, store: Store, hive: Hive) -> Iterator[Entry]:
    """Yield the boot manager's default entry first, then the others of its menu. Raises `Unreadable` without a boot manager."""
    objects = hive.key("Objects")
    manager = None if objects is None else objects.key(_MANAGER)
    if objects is None or manager is None:
        raise Unreadable("NoManager", f"{store.path} has no object for the boot manager")
    names = [*_texts(manager, _DEFAULT), *_texts(manager, _ORDER)]
    for name in list(dict.fromkeys(one.lower() for one in names))[:_ENTRIES_MAX]:
        yield _entry(facts, store, hive, objects.key(name), name)


def _entry(facts: Facts, store: Store, hive: Hive, key: Key | None, name: str) -> Entry:
    if key is None:
        return Entry(name, None, None, "", None, "", Evidence(hive.path, text=f"Objects\\{name}: not there"))
    description = key.key("Description")
    kind = None if description is None else description.number("Type")
    path = next(iter(_texts(key, _PATH)), "")
    device, os_device = _device(facts, store, key, _DEVICE), _device(facts, store, key, _OS_DEVICE)
    root = next(iter(_texts(key, _SYSTEM_ROOT)), "")
    told = f"{path} of {'no device' if device is None else device.told}"
    return Entry(name, kind, device, path, os_device, root, key.evidence(told))


def is_loader(entry: Entry) -> bool:
    """Whether the entry starts a Windows: others test memory, resume, or start another system's loader."""
    return entry.kind == _LOADER


def _element(key: Key, name: str) -> Key | None:
    return key.key(f"Elements\\{name}")


def _texts(key: Key, name: str) -> tuple[str, ...]:
    element = _element(key, name)
    value = None if element is None else element.value("Element")
    return () if value is None else value.texts or ()


def _device(facts: Facts, store: Store, key: Key, name: str) -> Device | None:
    element = _element(key, name)
    value = None if element is None else element.value("Element")
    return None if value is None else device_of(value.data, store.volume, facts.volumes)


def device_of(data: bytes, own: Volume, volumes: list[Volume]) -> Device:
    """Return what a device element names: 16 bytes of options' object, then kind, flags, size, and what the kind needs."""
    kind = struct.unpack_from("<I", data, 16)[0] if len(data) >= 32 else None
    if kind == _BOOT:
        return Device("the boot manager's own partition", own)
    if kind == _LOCATE:
        return Device("whichever partition has it", anywhere=True)
    if kind != _PARTITION or len(data) < 72:
        return Device(f"a device of kind {kind}", unread=True)
    style = struct.unpack_from("<I", data, 52)[0]
    if style == 0:
        wanted = str(uuid.UUID(bytes_le=data[32:48]))
        told = f"partition {wanted}"
        found = next((one for one in volumes if (one.partition.id_text or "").lower() == wanted), None)
    else:
        start, signature = struct.unpack_from("<Q16xI", data, 32)
        told = f"the partition at byte {start} of disk {signature:08x}"
        found = next((one for one in volumes if _is_at(one, start, signature)), None)
    return Device(told, found)


def _is_at(volume: Volume, start: int, signature: int) -> bool:
    own = (volume.partition.id_text or "").partition("-")
    return volume.partition.offset_bytes == start and not _is_gpt(volume) and own[0].lower() == f"{signature:08x}"


def holders(facts: Facts, device: Device, path: str) -> list[Volume] | None:
    """Return the volumes of the device that hold a file at `path`; None where it cannot be told."""
    known = facts.get(trees)
    if device.unread or isinstance(known, Unreadable):
        return None
    if not device.anywhere and (device.volume is None or tree_of(facts, device.volume) is None):
        return [] if device.volume is None else None
    looked_at = [
        (volume, tree)
        for volume, tree in known
        if device.anywhere or (device.volume is not None and volume.partition == device.volume.partition)
    ]
    return [volume for volume, tree in looked_at if tree.find_file(path.replace("\\", "/")) is not None]
