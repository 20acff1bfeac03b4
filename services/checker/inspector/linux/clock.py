# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which time the hardware clock is taken to hold.

Sources: hwclock(8) and its /etc/adjtime (third line), Debian's old rcS(5), OpenRC's conf.d/hwclock, Red Hat's and SUSE's
sysconfig/clock, timedatectl(1). Time servers have no part in it: the clock is read before there is a network.
"""

from facts import Facts
from findings import Evidence
from linux.text import assignments, is_false

_SETTINGS = {
    "/etc/default/rcS": "UTC",
    "/etc/default/hwclock": "UTC",
    "/etc/sysconfig/clock": "UTC",
}


def local_time(facts: Facts) -> Evidence | None:
    """Probe: where it is set that the hardware clock holds local time; None where it holds UTC, as it does unless told."""
    tree = facts.files()
    file = tree.read_text("/etc/adjtime")
    if file is not None and len(file.lines) > 2 and file.lines[2].strip().upper() == "LOCAL":
        return file.evidence(3)
    for path, name in _SETTINGS.items():
        file = tree.read_text(path)
        value = assignments(file).get(name)
        if file is not None and value is not None and is_false(value):
            return file.evidence(value.line)
    for path, name, values in (
        ("/etc/conf.d/hwclock", "clock", ("local",)),
        ("/etc/sysconfig/clock", "HWCLOCK", ("-l", "--localtime")),
        ("/etc/default/hwclock", "HWCLOCKPARS", ("-l", "--localtime")),
        ("/etc/rc.conf", "HARDWARECLOCK", ("localtime",)),
    ):
        file = tree.read_text(path)
        value = assignments(file).get(name)
        if file is not None and value is not None and any(word.lower() in values for word in value.split()):
            return file.evidence(value.line)
    return None
