# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people leave behind in a Windows: passwords in answer files and of automatic logon, histories, keys, saved sessions.

Sources: Microsoft, Unattended Windows Setup Reference, Winlogon's registry entries, OpenSSH for Windows, PSReadLine, Group Policy
Preferences; FileZilla and WinSCP manuals. XML is read by pattern, not by a parser: an answer file may be cut, and a bomb.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from facts import Facts
from findings import Evidence
from security.leftovers.keys import authorized_keys, private_keys
from security.leftovers.search import Search
from security.leftovers.secret import Secret, is_placeholder, masked
from windows.registry import known, software

_SECRETS_MAX = 32
_ANSWERS = (
    "/unattend.xml",
    "/autounattend.xml",
    "/sysprep.xml",
    "/Windows/Panther/unattend.xml",
    "/Windows/Panther/unattend-original.xml",
    "/Windows/Panther/Unattend/unattend.xml",
    "/Windows/Panther/Unattend/autounattend.xml",
    "/Windows/System32/Sysprep/unattend.xml",
    "/Windows/System32/Sysprep/sysprep.xml",
    "/Windows/System32/Sysprep/Panther/unattend.xml",
    "/Windows/Setup/Scripts/unattend.xml",
)
_POLICIES = tuple(
    f"/ProgramData/Microsoft/Group Policy/History/*/Machine/Preferences/{name}/{name}.xml"
    for name in ("Groups", "Services", "ScheduledTasks", "DataSources", "Drives", "Printers")
)
_HISTORY = "AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt"
_IN_HOMES = (
    "AppData/Roaming/FileZilla/sitemanager.xml",
    "AppData/Roaming/FileZilla/recentservers.xml",
    "AppData/Roaming/WinSCP.ini",
)
_AUTHORIZED_KEYS = "/ProgramData/ssh/administrators_authorized_keys"
_SSH = "/ProgramData/ssh"
_HOST_KEY = re.compile(r"ssh_host_[a-z0-9]{1,16}_key", re.IGNORECASE)
_KEY_BYTES_MAX = 64 * 1024
_WINLOGON = "Microsoft\\Windows NT\\CurrentVersion\\Winlogon"
_PASSWORD = re.compile(
    r"<(AdministratorPassword|Password|OfflineDomainPassword|DomainPassword|Pass)(?:\s[^<>]{0,128})?>\s{0,64}"
    r"(?:<Value>\s{0,64})?([^<>\s][^<>]{0,511})<"
)
_CPASSWORD = re.compile(r"\bcpassword=\"([^\"]{4,512})\"")
_INI_PASSWORD = re.compile(
    r"(?m)^\s{0,8}(?:AdminPassword|DomainAdminPassword|Password|Passphrase)\s{0,4}=\s{0,4}\"?([^\s\"]{1,512})"
)
_DELETED = "*SENSITIVE*DATA*DELETED*"
_HIDDEN_ENDS = ("AdministratorPassword", "Password")


def look_at_windows(facts: Facts, search: Search) -> None:
    """Look at the places that a Windows has beside those of any system."""
    for path in _ANSWERS:
        search.look(path, "Credentials", lambda data, _: answers(data))
    search.look("/sysprep/sysprep.inf", "Credentials", lambda data, _: _ini(data))
    for path in _POLICIES:
        search.look(path, "Credentials", lambda data, _: _policies(data))
    search.look(_AUTHORIZED_KEYS, "AuthorizedKeys", lambda _, lines: authorized_keys(lines))
    for home, names in search.homes(facts):
        if "appdata" in {name.lower() for name in names}:
            search.look_at_history(f"{home}/{_HISTORY}")
            for name in _IN_HOMES:
                find = _ini if name.endswith(".ini") else answers
                search.look(f"{home}/{name}", "Credentials", lambda data, _, find=find: find(data))  # type: ignore[misc]


def host_keys(facts: Facts) -> list[str]:
    """Probe: where the private SSH host keys of OpenSSH for Windows lie."""
    tree = facts.files()
    paths = [f"{_SSH}/{name}" for name in tree.names(_SSH) if _HOST_KEY.fullmatch(name)]
    return [path for path in paths if private_keys(tree.read_head(path, _KEY_BYTES_MAX) or b"")]


def logon_password(facts: Facts) -> Evidence | None:
    """Probe: the password that automatic logon keeps in clear; None where it keeps none."""
    key = known(facts, software).key(_WINLOGON)
    password = None if key is None else key.text("DefaultPassword")
    return None if key is None or not password else key.evidence(f"DefaultPassword = {masked(password)}")


def answers(data: bytes) -> list[Secret]:
    """Return the passwords in an answer file, or in another XML file that names them so."""
    text = _text(data)
    found = []
    for match in _PASSWORD.finditer(text):
        password = _clear(match[2].strip(), match[1])
        if password != _DELETED and not is_placeholder(password):
            found.append(_secret(f"value of {match[1]}", text, match.start(), password))
        if len(found) >= _SECRETS_MAX:
            break
    return found


def _clear(value: str, name: str) -> str:
    """Return a password that is hidden by base 64, with the element's name behind it, as it is; others unchanged."""
    try:
        told = base64.b64decode(value, validate=True).decode("utf-16-le")
    except (binascii.Error, ValueError):
        return value
    for end in (name, *_HIDDEN_ENDS):
        if told.endswith(end) and told.isprintable():
            return told.removesuffix(end)
    return value


def _policies(data: bytes) -> list[Secret]:
    text = _text(data)
    return [_secret("cpassword, whose key is public", text, one.start(), one[1]) for one in _first(_CPASSWORD, text)]


def _ini(data: bytes) -> list[Secret]:
    text = _text(data)
    found = [one for one in _first(_INI_PASSWORD, text) if not is_placeholder(one[1])]
    return [_secret("password", text, one.start(), one[1]) for one in found]


def _first(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    for count, match in enumerate(pattern.finditer(text)):
        if count >= _SECRETS_MAX:
            return
        yield match


def _secret(what: str, text: str, at: int, password: str) -> Secret:
    return Secret(what, text.count("\n", 0, at) + 1, masked(password))


def _text(data: bytes) -> str:
    """Return the text of a file that Windows' programs write: UTF-16 where it begins with a byte order mark, else UTF-8."""
    if data[:2] == b"\xff\xfe":
        return data[2:].decode("utf-16-le", "replace")
    if data[:2] == b"\xfe\xff":
        return data[2:].decode("utf-16-be", "replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
