# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the root file system grows to the size of its disk at the first boot, and with what.

Sources: growpart(1) (cloud-utils), cloud-init's documentation (Growpart, Resizefs), systemd-repart(8),
systemd-growfs@.service(8).
"""

import posixpath
from dataclasses import dataclass
from typing import Any

from facts import Facts
from findings import Evidence, Unreadable
from linux.cloud_init import CloudInit, cloud_init
from linux.fstab import Fstab, fstab
from linux.text import is_false
from tree import Found, Tree

_FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
_EDITORS = ("sfdisk", "sgdisk")
_RESIZERS = {"ext2": "resize2fs", "ext3": "resize2fs", "ext4": "resize2fs", "xfs": "xfs_growfs", "btrfs": "btrfs"}
_FIRST_LINE_BYTES = 256


@dataclass(frozen=True, slots=True)
class Missing:
    """What keeps the root from growing: a code, words, where."""

    code: str
    text: str
    evidence: tuple[Evidence, ...] = ()


def growing(facts: Facts) -> str | Missing:
    """Probe: what grows the root file system, or what is missing for it."""
    tree = facts.files()
    known = facts.get(cloud_init)
    if isinstance(known, Unreadable):
        raise known
    if _systemd_grows(facts, tree):
        return "systemd-repart and systemd-growfs"
    missing = _growpart(tree) or _runs(known) or _resizer(facts, tree)
    return "growpart and cloud-init" if missing is None else missing


def program(tree: Tree, name: str) -> Found | None:
    """Return the program `name` where a shell would find it."""
    return next((found for folder in _FOLDERS if (found := tree.find_file(f"{folder}/{name}")) is not None), None)


def _growpart(tree: Tree) -> Missing | None:
    found = program(tree, "growpart")
    if found is None:
        return Missing("OnlineResizeFS.NoGrowpart", "growpart is not installed (cloud-guest-utils, cloud-utils-growpart)")
    place = (Evidence(found.path),)
    if not found.stat().permissions & 0o111:
        return Missing("OnlineResizeFS.NoGrowpart", "growpart is there and not executable", place)
    first = found.read(_FIRST_LINE_BYTES).split(b"\n")[0].decode(errors="replace")
    words = first[2:].split() if first.startswith("#!") else []
    if words and posixpath.basename(words[0]) == "env":
        interpreter = program(tree, words[-1])
    else:
        interpreter = tree.find_file(words[0]) if words else found
    if interpreter is None:
        return Missing("OnlineResizeFS.NoInterpreter", f"growpart is a script for {words[-1][:80]}, which is not there", place)
    if not any(program(tree, one) for one in _EDITORS):
        return Missing("OnlineResizeFS.NoPartitionEditor", "growpart needs sfdisk or sgdisk, and neither is there", place)
    return None


def _runs(known: CloudInit) -> Missing | None:
    if known.program is None:
        return Missing("OnlineResizeFS.NoCloudInit", "cloud-init, which runs growpart at the first boot, is not installed")
    if not known.runs:
        place = () if known.disabled is None else (known.disabled[0],)
        return Missing("OnlineResizeFS.NoCloudInit", "cloud-init, which runs growpart at the first boot, is disabled", place)
    if known.problem is not None:
        raise known.problem
    off = _switched_off(known)
    if off is not None:
        return off
    if "cloud_init_modules" not in known.config:
        return None  # the defaults inside cloud-init have both
    file, modules = known.config["cloud_init_modules"]
    named = {name for one in (modules if isinstance(modules, list) else ()) if (name := _module(one)) is not None}
    for module in ("growpart", "resizefs"):
        if module not in named:
            return Missing(
                "OnlineResizeFS.ModuleNotListed", f"cloud_init_modules of {file.path} leaves out {module}", (file.evidence(),)
            )
    return None


def _module(entry: Any) -> str | None:  # noqa: ANN401 - an entry is a name, or a list or mapping that begins with it
    if isinstance(entry, list):
        entry = entry[0] if entry else None
    elif isinstance(entry, dict):
        entry = entry.get("name")
    return entry.replace("-", "_") if isinstance(entry, str) else None


def _switched_off(known: CloudInit) -> Missing | None:
    mode, resize = known.value("growpart", "mode"), known.value("resize_rootfs")
    if isinstance(mode, str) and mode.lower() in {"off", "false"}:
        file = known.config["growpart"][0]
        return Missing(
            "OnlineResizeFS.SwitchedOff", "growpart is switched off: mode: off", (file.evidence(getattr(mode, "line", None)),)
        )
    if is_false(resize):
        file = known.config["resize_rootfs"][0]
        return Missing(
            "OnlineResizeFS.SwitchedOff", "resize_rootfs is switched off", (file.evidence(getattr(resize, "line", None)),)
        )
    return None


def _resizer(facts: Facts, tree: Tree) -> Missing | None:
    if tree.exists("/etc/growroot-disabled"):
        return Missing("OnlineResizeFS.SwitchedOff", "a file forbids growpart", (Evidence("/etc/growroot-disabled"),))
    name = _RESIZERS.get(facts.root.kind if facts.root is not None else "")
    if name is not None and program(tree, name) is None:
        return Missing("OnlineResizeFS.NoResizer", f"{name}, which grows the root file system, is not installed")
    return None


def _systemd_grows(facts: Facts, tree: Tree) -> bool:
    known = facts.get(fstab)
    entries = known.entries if isinstance(known, Fstab) else ()
    grows = any(entry.mount_point == "/" and "x-systemd.growfs" in entry.options for entry in entries)
    folders = ("/etc/repart.d", "/usr/lib/repart.d")
    return grows and program(tree, "systemd-repart") is not None and any(tree.names(folder) for folder in folders)
