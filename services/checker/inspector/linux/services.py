# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a service starts with the system: systemd, OpenRC, System V init.

Sources: systemd.unit(5) (wants folders, masking), OpenRC's runlevels, the rc links of insserv and chkconfig.
"""

from tree import Tree

_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_RUNLEVELS = ("sysinit", "boot", "default")
_RC_FOLDERS = ("/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d", "/etc/rcS.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d", "/etc/init.d/rc3.d")


def is_masked(tree: Tree, unit: str) -> bool:
    """Whether systemd is told never to start `unit`: a link to /dev/null, or an empty file, in /etc."""
    found = tree.find(f"/etc/systemd/system/{unit}", follow=False)
    if found is None:
        return False
    facts = found.stat()
    if facts.kind == 0o120000:
        return found.files.link_target(found.node) == "/dev/null"
    return facts.kind == 0o100000 and facts.size == 0


def has_unit(tree: Tree, unit: str) -> str | None:
    """Return the path of the unit's file, None where there is none."""
    return next((path for folder in _UNIT_FOLDERS if tree.find(path := f"{folder}/{unit}", follow=False) is not None), None)


def is_enabled(tree: Tree, name: str) -> bool:
    """Whether the service `name` (without an ending) starts with the system."""
    unit = f"{name}.service"
    if is_masked(tree, unit):
        return False
    for folder in _UNIT_FOLDERS:
        # Links of /etc are enablement; a package's own folder may ship them as well. An alias is a link beside the units.
        wants = [one for one in tree.names(folder) if one.endswith((".wants", ".requires"))]
        if any(tree.find(f"{folder}/{one}/{unit}", follow=False) is not None for one in wants):
            return True
    if any(tree.find(f"/etc/runlevels/{level}/{name}", follow=False) is not None for level in _RUNLEVELS):
        return True
    return any(_starts(one, name) for folder in _RC_FOLDERS for one in tree.names(folder))


def _starts(link: str, name: str) -> bool:
    return link[:1] == "S" and link[1:3].isdigit() and link[3:] == name
