# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the system gets its network addresses, by every manager's configuration."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from facts import Facts
from findings import Evidence, Unreadable, attempt
from linux.cloud_init import CloudInit, cloud_init
from linux.network import ifupdown, keyfiles, netplan
from linux.network.model import Setting
from linux.services import is_enabled
from linux.text import ini
from tree import Tree

_READERS: tuple[Callable[[Tree], Iterable[Setting]], ...] = (
    netplan.settings,
    ifupdown.settings,
    keyfiles.network_manager,
    keyfiles.networkd,
    keyfiles.ifcfg,
    keyfiles.dhcpcd,
)
_SETTINGS_MAX = 256
_RENDERED = ("50-cloud-init", "cloud-init-", "10-cloud-init")
_MARK = b"by cloud-init"
_HEAD_BYTES = 400


@dataclass(slots=True)
class Network:
    """`settings` are those that a new instance starts with; `default` is who asks for an address where nothing is set, in words.

    `renewed` are files that cloud-init writes anew at the first boot, which therefore do not count.
    """

    settings: list[Setting] = field(default_factory=list)
    renewed: list[Setting] = field(default_factory=list)
    default: tuple[str, Evidence | None] | None = None
    problem: Unreadable | None = None


def network(facts: Facts) -> Network:
    """Probe: all managers' settings, and what happens without any."""
    tree, found = facts.files(), Network()
    known = facts.get(cloud_init)
    renders = isinstance(known, CloudInit) and known.runs and not _is_off(known)
    given = list(_given(known)) if isinstance(known, CloudInit) and known.runs else []
    for read in _READERS:
        read_here = attempt(lambda read=read: list(read(tree)))  # type: ignore[misc]
        if isinstance(read_here, Unreadable):
            found.problem = found.problem or read_here
            continue
        for one in read_here:
            (found.renewed if renders and _is_rendered(one) else found.settings).append(one)
    found.settings = (found.settings + given)[:_SETTINGS_MAX]
    found.default = _default(tree, renders=renders)
    return found


def _is_off(known: CloudInit) -> bool:
    """Whether cloud-init leaves the network alone: `network: {config: disabled}`."""
    return bool(known.value("network", "config") == "disabled")


def _given(known: CloudInit) -> Iterable[Setting]:
    """Return what cloud.cfg itself says of the network."""
    file, value = known.config.get("network", (None, None))
    return netplan.of(value, file, "cloud-init") if file is not None else ()


def _is_rendered(one: Setting) -> bool:
    """Whether cloud-init wrote the file: by its name, or by the mark that it leaves at the top."""
    return one.file.path.rpartition("/")[2].startswith(_RENDERED) or _MARK in one.file.data[:_HEAD_BYTES].lower()


def _default(tree: Tree, *, renders: bool) -> tuple[str, Evidence | None] | None:
    """Return who configures an interface that nobody set, None if nobody."""
    if renders:
        return "cloud-init configures the first interface by DHCP", None
    if is_enabled(tree, "NetworkManager") and not _has_no_default(tree):
        return "NetworkManager asks for an address on every wired interface", None
    if is_enabled(tree, "dhcpcd"):
        return "dhcpcd asks for an address on every interface", None
    return None


def _has_no_default(tree: Tree) -> bool:
    """Whether NetworkManager leaves interfaces alone that have no connection: NetworkManager.conf(5), no-auto-default."""
    folders = ("/usr/lib/NetworkManager/conf.d", "/etc/NetworkManager/conf.d")
    paths = ["/etc/NetworkManager/NetworkManager.conf", *(f"{one}/{name}" for one in folders for name in tree.names(one)[:64])]
    values = (
        value
        for path in paths
        for section, key, value in ini(tree.read_text(path))
        if (section, key) == ("main", "no-auto-default")
    )
    return any("*" in value for value in values)
