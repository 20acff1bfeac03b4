# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the image is encrypted: the container, or a partition or logical volume with LUKS or BitLocker."""

from facts import Facts
from findings import Evidence, Item
from volumes.volume import Partition

NAME = "SECURITY.Encryption"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Look for encryption of the container and of each partition; what could not be reached cannot be told."""
    advice = "make an image of the unencrypted system: nobody else has the key"
    if facts.header.encrypted:
        return Item(
            NAME,
            "failed",
            "Encryption.Container",
            facts.header.format,
            (Evidence(text="the header of the container names a cipher"),),
            advice,
        )
    luks = [volume.partition for volume in facts.volumes if volume.kind == "luks"]
    if luks:
        evidence = tuple(Evidence(text=f"LUKS header {_place(one)}") for one in luks)
        return Item(NAME, "failed", "Encryption.Luks", "LUKS", evidence, advice)
    bitlocker = [volume.partition for volume in facts.volumes if volume.kind == "bitlocker"]
    if bitlocker:
        evidence = tuple(Evidence(text=f"BitLocker {_place(one)}") for one in bitlocker)
        return Item(NAME, "failed", "Encryption.BitLocker", "BitLocker", evidence, advice)
    if facts.unreadable is not None:
        return Item(NAME, "unsupported", "Encryption.NotLookedFor", advice=f"the disk could not be read: {facts.unreadable}")
    return Item(NAME, "ok", value="none")


def _place(partition: Partition) -> str:
    if partition.mapper is not None:
        return f"in the logical volume {partition.mapper}"
    return f"at byte {partition.offset_bytes} (partition {partition.number})"
