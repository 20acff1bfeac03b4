# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the container is one file, whole, of the format stated, without features nobody knows."""

from facts import Facts
from findings import Evidence, Item

NAME = "SECURITY.DiskFormat"
FAMILIES = frozenset({"linux", "windows"})
CUT = ("PartitionBeyondDisk", "Truncated")


def judge(facts: Facts) -> Item:
    """Report every trouble that the look at the header found."""
    if facts.header.troubles:
        first = facts.header.troubles[0]
        evidence = tuple(Evidence(text=trouble.text) for trouble in facts.header.troubles)
        return Item(NAME, "failed", first.code, facts.header.format, evidence, first.text)
    reasons = [facts.unreadable] if facts.unreadable is not None else facts.root_reasons
    cut = [reason for reason in reasons if reason.code in CUT]
    if cut:
        advice = f"{cut[0]}; upload the whole image again"
        return Item(NAME, "failed", "DiskFormat.Truncated", facts.header.format, (Evidence(text=str(cut[0])),), advice)
    return Item(NAME, "ok", value=facts.header.format)
