# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether an update of Windows was finished before the image was made."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.Update"
FAMILIES = frozenset({"windows"})


def judge(facts: Facts) -> Item:
    """Look for packages, operations and marks that wait for a restart."""
    from windows.servicing import unfinished

    found = tuple(unfinished(facts))
    if found:
        advice = "restart the system until its updates are finished, and make the image then"
        return Item(NAME, "failed", "Update.Unfinished", len(found), found, advice)
    return Item(NAME, "ok", value="nothing waits for a restart")
