# SPDX-License-Identifier: AGPL-3.0-or-later
"""What should be each instance's own: SSH host keys, and the machine id. Sources: sshd(8), machine-id(5), cloud-init's cc_ssh."""

import re
import stat
from dataclasses import dataclass

from facts import Facts
from security.leftovers.keys import private_keys
from tree import Tree

_HOST_KEY = re.compile(r"ssh_host_[a-z0-9]{1,16}_key")
_HOST_KEY_BYTES_MAX = 64 * 1024
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_MACHINE_ID = re.compile(rb"[0-9a-f-]{32,36}")
_CLOUD_INIT = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init")
_CONFIG = "/etc/cloud/cloud.cfg"
_CONFIGS_MAX = 64
_KEPT = re.compile(r"ssh_deletekeys:\s{0,8}[\"']?(false|no|off|0|n)\b", re.IGNORECASE)
_RENEWED = re.compile(r"ssh_deletekeys:\s{0,8}[\"']?(true|yes|on|1|y)\b", re.IGNORECASE)
_SSH_MODULE = re.compile(r"\s{0,16}-\s{1,8}\[?[\"']?(?:cc_)?ssh[\"']?\s{0,8}(?:,|\]|#|$)")


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The private host keys found, and why first boot does not renew them; None where it does."""

    paths: tuple[str, ...]
    kept_because: str | None


def host_keys(facts: Facts) -> HostKeys:
    """Probe: the SSH host keys."""
    tree = facts.files()
    paths = [f"/etc/ssh/{name}" for name in tree.names("/etc/ssh") if _HOST_KEY.fullmatch(name)]
    found = [path for path in paths if private_keys(tree.read_head(path, _HOST_KEY_BYTES_MAX) or b"")]
    return HostKeys(tuple(found), _kept_because(tree) if found else None)


def is_host_key(path: str) -> bool:
    """Whether `path` is the place of an SSH host key."""
    folder, _, name = path.rpartition("/")
    return folder == "/etc/ssh" and _HOST_KEY.fullmatch(name) is not None


def _kept_because(tree: Tree) -> str | None:
    """Return why cloud-init will not make new host keys; None where it will: that is its default."""
    if not any(tree.find_file(path) for path in _CLOUD_INIT) or tree.find_file(_CONFIG) is None:
        return "cloud-init, which would renew them, is not there"
    if tree.exists("/etc/cloud/cloud-init.disabled"):
        return "/etc/cloud/cloud-init.disabled keeps cloud-init from renewing them"
    for unit in ("cloud-init.service", "cloud-init-network.service", "cloud-init.target"):
        masked = tree.find(f"/etc/systemd/system/{unit}", follow=False)
        if masked is not None and masked.stat().kind == stat.S_IFLNK and masked.files.link_target(masked.node) == "/dev/null":
            return f"{unit} is masked, so that cloud-init does not renew them"
    reason, runs_ssh = None, False
    dropins = [f"/etc/cloud/cloud.cfg.d/{name}" for name in tree.names("/etc/cloud/cloud.cfg.d") if name.endswith(".cfg")]
    for path in [_CONFIG, *dropins[:_CONFIGS_MAX]]:
        file = tree.read_text(path)
        for number, line in enumerate(file.lines if file is not None else (), start=1):
            # A later file overrides an earlier one.
            if _KEPT.match(line):
                reason = f"{path}:{number} says ssh_deletekeys: false"
            elif _RENEWED.match(line):
                reason = None
            runs_ssh = runs_ssh or _SSH_MODULE.match(line[:256]) is not None
    return reason if reason is not None or runs_ssh else f"{_CONFIG} does not run cloud-init's module ssh"


def machine_ids(facts: Facts) -> list[str]:
    """Probe: the files with a machine id; `uninitialized` or nothing in it has first boot make one."""
    tree = facts.files()
    found = []
    for path in _MACHINE_IDS:
        inode = tree.find(path, follow=False)
        if (
            inode is not None
            and inode.stat().kind == stat.S_IFREG
            and _MACHINE_ID.fullmatch((tree.read_head(path, 64) or b"").strip())
        ):
            found.append(path)
    return found
