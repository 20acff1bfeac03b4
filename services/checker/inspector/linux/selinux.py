# SPDX-License-Identifier: AGPL-3.0-or-later
"""In which mode SELinux starts.

Sources: selinux_config(5), selinux(8), kernel-parameters (selinux=, enforcing=, security=, lsm=).
"""

from dataclasses import dataclass

from facts import Facts
from findings import Evidence
from linux.boot import boot_entries
from linux.boot.model import Boot, Entry
from linux.text import assignments

_FILES = ("/etc/selinux/config", "/etc/sysconfig/selinux")
_MODES = ("enforcing", "permissive", "disabled")


@dataclass(frozen=True, slots=True)
class SelinuxMode:
    """`mode` is enforcing, permissive or disabled; `evidence` where that stands, None where nothing sets it."""

    mode: str
    evidence: Evidence | None = None


def selinux_mode(facts: Facts) -> SelinuxMode:
    """Probe: the mode that the configuration and the kernel's command line come to; disabled where there is neither."""
    tree = facts.files()
    mode = SelinuxMode("disabled")
    for path in _FILES:
        file = tree.read_text(path)
        value = assignments(file).get("SELINUX")
        if file is not None and value is not None and value.lower() in _MODES:
            mode = SelinuxMode(value.lower(), file.evidence(value.line))
            break
    boot = facts.get(boot_entries)
    entries = [entry for entry in boot.entries if entry.options is not None] if isinstance(boot, Boot) else []
    if mode.mode == "disabled" or not entries:
        return mode
    # Off only if it is off whichever entry is chosen.
    if all(_is_off(entry) for entry in entries):
        return SelinuxMode("disabled", _where(entries[0]))
    changed = [entry for entry in entries if entry.option("enforcing") == "0"]
    if mode.mode == "enforcing" and len(changed) == len(entries):
        return SelinuxMode("permissive", _where(changed[0]))
    forced = [entry for entry in entries if entry.option("enforcing") == "1"]
    if mode.mode == "permissive" and forced:
        return SelinuxMode("enforcing", _where(forced[0]))
    return mode


def _is_off(entry: Entry) -> bool:
    security, modules = entry.option("security"), entry.option("lsm")
    if modules is not None:
        return "selinux" not in modules.split(",")
    return entry.option("selinux") == "0" or (security is not None and security != "selinux")


def _where(entry: Entry) -> Evidence:
    return Evidence() if entry.options is None else entry.options.file.evidence(entry.options.line)
