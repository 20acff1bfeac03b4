# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the image is encrypted: the container, or a partition with LUKS."""

from facts import Facts
from findings import Evidence, Item

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
            (Evidence(text="the qcow2 header names a cipher"),),
            advice,
        )
    luks = [volume.partition for volume in facts.volumes if volume.kind == "luks"]
    if luks:
        evidence = tuple(Evidence(text=f"LUKS header at byte {one.offset_bytes} (partition {one.number})") for one in luks)
        return Item(NAME, "failed", "Encryption.Luks", "LUKS", evidence, advice)
    if facts.unreadable is not None:
        return Item(NAME, "unsupported", "Encryption.NotLookedFor", advice=f"the disk could not be read: {facts.unreadable}")
    return Item(NAME, "ok", value="none")
