# SPDX-License-Identifier: AGPL-3.0-or-later
"""Network configuration in files of sections or of assignments: NetworkManager, systemd-networkd, ifcfg, dhcpcd.

Sources: nm-settings-keyfile(5), systemd.network(5), Red Hat's sysconfig.txt (initscripts), SUSE's ifcfg(5), dhcpcd.conf(5).
"""

import re
from collections.abc import Iterator

from findings import FileText
from linux.network.model import FILES_MAX, Setting, is_fixed_address, is_loopback
from linux.text import LINES_MAX, At, assignments, ini
from tree import Tree

_NM_FOLDERS = ("/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
_NM_ADDRESS = re.compile(r"address(es)?\d*$")
_NETWORKD_FOLDERS = ("/usr/lib/systemd/network", "/etc/systemd/network")
_CONTAINERS = "80-container-"
"""systemd's own files for the inside of containers and their ends outside: no interface of a machine."""
_IFCFG_FOLDERS = ("/etc/sysconfig/network-scripts", "/etc/sysconfig/network")
_COPIES = (".bak", ".orig", ".rpmsave", ".rpmnew", ".rpmorig", ".old", "~", ".cloud-init", ".template")
_DHCP_VALUES = ("yes", "true", "on", "1", "both", "v4", "v6", "ipv4", "ipv6")


def network_manager(tree: Tree) -> Iterator[Setting]:
    """Yield what NetworkManager's keyfiles say."""
    for path in _paths(tree, _NM_FOLDERS):
        file = tree.read_text(path)
        values = list(ini(file))
        interface = next((value for section, key, value in values if (section, key) == ("connection", "interface-name")), At(""))
        kind = next((value for section, key, value in values if (section, key) == ("connection", "type")), At(""))
        if file is None or kind == "loopback" or is_loopback(interface):
            continue
        for section, key, value in values:
            if section in {"ipv4", "ipv6"} and key == "method" and value in {"auto", "dhcp"}:
                yield Setting("NetworkManager", interface or path.rpartition("/")[2], "dhcp", file, value.line)
            elif section in {"ipv4", "ipv6"} and _NM_ADDRESS.match(key) and is_fixed_address(value.split(";")[0]):
                yield Setting("NetworkManager", interface or path.rpartition("/")[2], "static", file, value.line)


def networkd(tree: Tree) -> Iterator[Setting]:
    """Yield what systemd-networkd's files and their drop-ins say; a name in /etc hides the same in /usr/lib."""
    folder_of = {name: folder for folder in _NETWORKD_FOLDERS for name in tree.names(folder) if name.endswith(".network")}
    for name in sorted(folder_of)[:FILES_MAX]:
        if name.startswith(_CONTAINERS):
            continue
        paths = [f"{folder_of[name]}/{name}"]
        for folder in _NETWORKD_FOLDERS:
            paths += [f"{folder}/{name}.d/{one}" for one in tree.names(f"{folder}/{name}.d")[:FILES_MAX] if one.endswith(".conf")]
        for path in paths:
            file = tree.read_text(path)
            if file is not None:
                yield from _networkd_file(file, name)


def _networkd_file(file: FileText, name: str) -> Iterator[Setting]:
    values = list(ini(file))
    interface = next((value for section, key, value in values if (section, key) == ("match", "name")), At(name))
    if is_loopback(interface):
        return
    for section, key, value in values:
        if (section, key) == ("network", "dhcp") and value.lower() in _DHCP_VALUES:
            yield Setting("systemd-networkd", interface, "dhcp", file, value.line)
        elif section in {"network", "address"} and key == "address" and is_fixed_address(value):
            yield Setting("systemd-networkd", interface, "static", file, value.line)


def ifcfg(tree: Tree) -> Iterator[Setting]:
    """Yield what the ifcfg files of Red Hat's and SUSE's families say."""
    for path in _paths(tree, _IFCFG_FOLDERS):
        name = path.rpartition("/")[2]
        file = tree.read_text(path) if name.startswith("ifcfg-") else None
        values = assignments(file)
        interface = values.get("DEVICE") or At(name.removeprefix("ifcfg-"))
        if file is None or is_loopback(interface):
            continue
        protocol = values.get("BOOTPROTO", At("")).lower()
        addresses = [value for key, value in values.items() if re.match(r"IPADDR\d*$|IPADDR_|IPV6ADDR$", key) and value]
        fixed = next((value for value in addresses if is_fixed_address(value)), None)
        if fixed is not None:
            yield Setting("ifcfg", interface, "static", file, fixed.line)
        elif protocol == "static":
            yield Setting("ifcfg", interface, "static", file, values["BOOTPROTO"].line)
        elif protocol.startswith(("dhcp", "bootp", "auto")):
            yield Setting("ifcfg", interface, "dhcp", file, values["BOOTPROTO"].line)


def dhcpcd(tree: Tree) -> Iterator[Setting]:
    """Yield the static addresses of dhcpcd's configuration."""
    file = tree.read_text("/etc/dhcpcd.conf")
    interface = ""
    for number, line in enumerate(file.lines[:LINES_MAX] if file is not None else (), start=1):
        words = line.strip().replace("=", " ").split()
        if len(words) > 1 and words[0] in {"interface", "profile"}:
            interface = words[1]
        elif file is not None and words[:1] == ["static"] and len(words) > 2 and words[1] in {"ip_address", "ip6_address"}:
            yield Setting("dhcpcd", interface, "static", file, number)


def _paths(tree: Tree, folders: tuple[str, ...]) -> list[str]:
    found = [f"{folder}/{name}" for folder in folders for name in tree.names(folder) if not name.endswith(_COPIES)]
    return found[:FILES_MAX]
