# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the hardware clock is taken to hold UTC, which is what a cloud's machines hold."""

from facts import Facts
from findings import Evidence, Item, Unreadable
from linux.clock import local_time

NAME = "GUESTOS.RtcTimeMode"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Find a setting that says local time; without one the clock holds UTC."""
    found = facts.get(local_time)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "RtcTimeMode.NotReadable", advice=f"the clock's setting could not be read: {found}")
    if isinstance(found, Evidence):
        advice = "set the hardware clock to UTC: timedatectl set-local-rtc 0, or hwclock --systohc --utc"
        return Item(NAME, "warning", "RtcTimeMode.LocalTime", "local time", (found,), advice)
    return Item(NAME, "ok", value="UTC")
