# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which family of systems is in the image: it decides which items are judged."""

from facts import Facts


def family_of(facts: Facts) -> str:
    """Return `windows` where a Windows folder with its hives is, else `linux`: its items say best what is missing."""
    is_windows = facts.tree is not None and facts.root is not None and facts.root.kind == "ntfs"
    return "windows" if is_windows else "linux"
