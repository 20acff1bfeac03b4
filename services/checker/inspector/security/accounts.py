# SPDX-License-Identifier: AGPL-3.0-or-later
"""Accounts, groups and password fields. Sources: passwd(5), shadow(5), group(5), nss-altfiles for the other places."""

from dataclasses import dataclass, field

from facts import Facts
from findings import FileText, Unreadable

FILE_BYTES_MAX = 4 * 2**20
LINES_MAX = 20_000
_FOLDERS = ("/etc", "/usr/etc", "/usr/lib", "/lib")
# Full paths: a program of another place may call itself nologin and be a shell.
_NO_LOGIN = frozenset(
    f"{folder}/{name}"
    for folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
    for name in ("nologin", "false", "true", "sync", "shutdown", "halt")
) | {"/dev/null"}


@dataclass(frozen=True, slots=True)
class Account:
    """A line of passwd; `password` is its second field, mostly `x`."""

    name: str
    password: str
    uid: int
    gid: int
    home: str
    shell: str
    file: FileText
    line: int

    @property
    def can_log_in(self) -> bool:
        """Whether its shell lets anybody in; whether there is a password or a key is another question."""
        return self.shell not in _NO_LOGIN


@dataclass(frozen=True, slots=True)
class Shadow:
    """A line of shadow: the hash, empty where no password is asked for."""

    name: str
    password: str
    file: FileText
    line: int


@dataclass(slots=True)
class Groups:
    """Members by group name, and names by number."""

    members: dict[str, set[str]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


def accounts(facts: Facts) -> list[Account]:
    """Probe: the accounts, /etc before the vendor's places. Raises `Unreadable` where there is no passwd at all."""
    found: dict[str, Account] = {}
    files = _files(facts, "passwd")
    if not files:
        raise Unreadable("NoPasswd", "there is no /etc/passwd")
    for file in files:
        for line, fields in _records(file, 7):
            name, password, uid, gid, _, home, shell = fields[:7]
            if uid.isascii() and uid.isdigit() and gid.isascii() and gid.isdigit() and len(uid + gid) <= 20:
                # The first line of a name is the one that the system finds.
                found.setdefault(name, Account(name, password, int(uid), int(gid), home, shell.strip() or "/bin/sh", file, line))
    return list(found.values())


def shadow(facts: Facts) -> dict[str, Shadow]:
    """Probe: the password fields by account."""
    found: dict[str, Shadow] = {}
    for file in _files(facts, "shadow"):
        for line, fields in _records(file, 2):
            found.setdefault(fields[0], Shadow(fields[0], fields[1].strip(), file, line))
    return found


def groups(facts: Facts) -> Groups:
    """Probe: who is in which group; primary groups are in passwd."""
    found = Groups()
    for file in _files(facts, "group"):
        for _, fields in _records(file, 4):
            found.members.setdefault(fields[0], {one.strip() for one in fields[3].split(",") if one.strip()})
            if fields[2].isascii() and fields[2].isdigit() and len(fields[2]) <= 10:
                found.names.setdefault(int(fields[2]), fields[0])
    return found


def _files(facts: Facts, name: str) -> list[FileText]:
    tree = facts.files()
    found: dict[str, FileText] = {}
    for folder in _FOLDERS:
        file = tree.read_text(f"{folder}/{name}", bytes_max=FILE_BYTES_MAX)
        if file is not None:
            found.setdefault(file.path, file)
    return list(found.values())


def _records(file: FileText, fields_min: int) -> list[tuple[int, list[str]]]:
    if len(file.lines) > LINES_MAX:
        raise Unreadable("TooManyLines", f"{file.path} has more than {LINES_MAX} lines")
    rows = [(number, line.split(":")) for number, line in enumerate(file.lines, start=1)]
    # A name of + or - asks a directory service; it is no account of this system.
    return [(number, row) for number, row in rows if len(row) >= fields_min and row[0] and row[0][0] not in "+-#"]
