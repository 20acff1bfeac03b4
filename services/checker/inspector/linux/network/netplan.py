# SPDX-License-Identifier: AGPL-3.0-or-later
"""Network configuration in YAML: netplan, and what cloud-init is given in versions 1 and 2.

Sources: netplan(5); cloud-init's documentation, Networking Config Version 1 and 2.
"""

from collections.abc import Iterator
from typing import Any

from findings import FileText
from linux.network.model import FILES_MAX, Setting, is_fixed_address, is_loopback
from linux.text import At, as_yaml, is_true
from tree import Tree

_FOLDERS = ("/usr/lib/netplan", "/etc/netplan")
_KINDS = ("ethernets", "wifis", "bonds", "bridges", "vlans", "modems")
_STATIC_TYPES = ("static", "static6")
_DHCP_TYPES = ("dhcp", "dhcp4", "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless", "ipv6_slaac")


def settings(tree: Tree) -> Iterator[Setting]:
    """Yield what netplan's files say; a name in /etc hides the same in /usr/lib."""
    files = {name: folder for folder in _FOLDERS for name in tree.names(folder) if name.endswith(".yaml")}
    for name in sorted(files)[:FILES_MAX]:
        file = tree.read_text(f"{files[name]}/{name}")
        if file is not None:
            content = as_yaml(file)
            yield from of(content.get("network") if isinstance(content, dict) else None, file, "netplan")


def of(network: Any, file: FileText, manager: str) -> Iterator[Setting]:  # noqa: ANN401 - what a stranger's YAML holds
    """Yield what a `network:` mapping of either version says."""
    if not isinstance(network, dict):
        return
    for kind in _KINDS:
        interfaces = network.get(kind)
        for name, values in interfaces.items() if isinstance(interfaces, dict) else ():
            if isinstance(values, dict) and not is_loopback(name):
                yield from _interface(name, values, file, manager)
    entries = network.get("config")
    for entry in entries if isinstance(entries, list) else ():
        name, subnets = (entry.get("name", ""), entry.get("subnets")) if isinstance(entry, dict) else ("", None)
        if isinstance(name, str) and entry.get("type") != "loopback" if isinstance(entry, dict) else False:
            for subnet in subnets if isinstance(subnets, list) else ():
                yield from _subnet(name, subnet, file, manager)


def _interface(name: str, values: dict[Any, Any], file: FileText, manager: str) -> Iterator[Setting]:
    for key in ("dhcp4", "dhcp6"):
        value = values.get(key)
        if isinstance(value, At) and is_true(value):
            yield Setting(manager, name, "dhcp", file, value.line)
            break
    addresses = values.get("addresses")
    for one in addresses if isinstance(addresses, list) else ():
        # An address with options is a mapping of its own: {"10.0.0.4/24": {"label": …}}.
        text = next(iter(one), None) if isinstance(one, dict) else one
        if isinstance(text, At) and is_fixed_address(text):
            yield Setting(manager, name, "static", file, text.line)


def _subnet(name: str, subnet: Any, file: FileText, manager: str) -> Iterator[Setting]:  # noqa: ANN401 - see above
    kind = subnet.get("type") if isinstance(subnet, dict) else None
    if isinstance(kind, At) and not is_loopback(name):
        if kind in _STATIC_TYPES:
            yield Setting(manager, name, "static", file, kind.line)
        elif kind in _DHCP_TYPES:
            yield Setting(manager, name, "dhcp", file, kind.line)
