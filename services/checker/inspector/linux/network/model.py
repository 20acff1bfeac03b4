# SPDX-License-Identifier: AGPL-3.0-or-later
"""An interface's addresses as some network manager's configuration has them."""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from findings import Evidence, FileText

FILES_MAX = 128
_LOOPBACK = ("lo", "lo0")


@dataclass(frozen=True, slots=True)
class Setting:
    """How `interface` gets its addresses by `manager`'s configuration; `evidence` is the line that says so."""

    manager: str
    interface: str
    method: Literal["dhcp", "static"]
    file: FileText
    line: int

    @property
    def evidence(self) -> Evidence:
        """Return where it stands."""
        return self.file.evidence(self.line)


def is_fixed_address(text: str) -> bool:
    """Whether `text` is an address that ties the system to one network: neither loopback, link-local nor "any of a pool"."""
    try:
        address = ipaddress.ip_interface(text.strip().strip("\"'").split(" ")[0].split(",")[0]).ip
    except ValueError:
        # What is no address (a variable, a name) is no DHCP either.
        return bool(text.strip())
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def is_loopback(interface: str) -> bool:
    """Whether the interface is the loopback one, whose address is always the same."""
    return interface.lower() in _LOOPBACK or interface.startswith(("lo:", "dummy"))
