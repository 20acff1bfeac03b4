# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the desktop can be reached and is configured: remote desktop is how an instance's user gets in.

Sources: Microsoft, Remote Desktop Services settings, Windows Firewall rules; the reference platform looks for desktop.ini.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from findings import Evidence, Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facts import Facts
    from windows.hive import Key

NAME = "GUESTOS.DesktopConfig"
FAMILIES = frozenset({"windows"})
_SERVER = "Control\\Terminal Server"
_FIREWALL = "Services\\SharedAccess\\Parameters\\FirewallPolicy"
_PROFILES = ("PublicProfile", "StandardProfile")
_RULES_MAX = 10_000
_PORT = 3389
_USERS_MAX = 64
_ADVICE = {
    "RemoteDesktopOff": "allow remote desktop: set fDenyTSConnections to 0 (System Properties, Remote)",
    "ServiceDisabled": "let the service TermService start: remote desktop is answered by it",
    "Firewall": "enable the firewall's inbound rules of the group Remote Desktop for public networks",
    "NoDesktopIni": "put desktop.ini back into the desktops' folders: their configuration has no effect without it",
}


def judge(facts: Facts) -> Item:
    """Look at remote desktop's switch, its service, the firewall's rules for its port, and the desktops' own files."""
    from windows.registry import control_set, known

    found = list(_troubles(facts, known(facts, control_set)))
    if found:
        names = tuple(name for name, _ in found)
        advice = "; ".join(_ADVICE[name] for name in names)
        return Item(NAME, "warning", f"DesktopConfig.{names[0]}", names, tuple(where for _, where in found), advice)
    return Item(NAME, "ok", value="remote desktop is let in")


def _troubles(facts: Facts, controls: Key) -> Iterator[tuple[str, Evidence]]:
    from windows.drivers import DISABLED, service

    server = controls.key(_SERVER)
    deny = None if server is None else server.number("fDenyTSConnections")
    if server is None or deny != 0:
        where = controls.evidence("no key Terminal Server") if server is None else server.evidence(f"fDenyTSConnections = {deny}")
        yield "RemoteDesktopOff", where
    answering = service(facts, "TermService")
    if answering is None or answering.starts == DISABLED:
        yield "ServiceDisabled", controls.evidence("no service TermService") if answering is None else answering.evidence
    port = None if server is None else server.key("WinStations\\RDP-Tcp")
    number = None if port is None else port.number("PortNumber")
    firewall = controls.key(_FIREWALL)
    if firewall is not None and not _is_let_in(firewall, _PORT if number is None else number):
        yield "Firewall", firewall.evidence(f"no active rule lets port {number or _PORT} in")
    if not _has_desktop_ini(facts):
        yield "NoDesktopIni", Evidence("/Users", text="no desktop.ini in any desktop")


def _is_let_in(firewall: Key, port: int) -> bool:
    """Whether the firewall is off for the networks of an instance, or an active rule allows the port."""
    profiles = [firewall.key(name) for name in _PROFILES]
    if all(profile is not None and profile.number("EnableFirewall") == 0 for profile in profiles):
        return True
    rules = firewall.key("FirewallRules")
    for count, value in enumerate(() if rules is None else rules.values()):
        if count >= _RULES_MAX:
            break
        # v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|…: a name may come several times.
        fields = [field.partition("=") for field in (value.text or "").split("|")]
        said = {(name.lower(), content.lower()) for name, _, content in fields}
        wanted = {("action", "allow"), ("active", "true"), ("dir", "in")}
        ports = {content for name, content in said if name in {"lport", "lport2_10"}}
        protocols = {content for name, content in said if name == "protocol"}
        networks = {content for name, content in said if name == "profile"}
        if wanted <= said and protocols <= {"6"} and _covers(ports, port) and (not networks or "public" in networks):
            return True
    return False


def _covers(ports: set[str], port: int) -> bool:
    if not ports:
        return False
    for one in ports:
        low, _, high = one.partition("-")
        if low.isdecimal() and int(low[:5]) <= port <= int((high if high.isdecimal() else low)[:5]):
            return True
    return False


def _has_desktop_ini(facts: Facts) -> bool:
    tree = facts.files()
    return any(tree.find_file(f"/Users/{name}/Desktop/desktop.ini") is not None for name in tree.names("/Users")[:_USERS_MAX])
