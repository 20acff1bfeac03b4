# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where people leave secrets in an image: homes, /etc, and the folders of services; not where packages put what everybody has."""

import stat
from collections.abc import Iterator
from itertools import islice, takewhile

from facts import Facts
from family import family_of
from findings import Unreadable
from security.accounts import Account, accounts

HOMES_MAX = 1000
_ALWAYS = (
    "/root",
    "/home",
    "/etc",
    "/opt",
    "/srv",
    "/var/www",
    "/usr/local/etc",
    "/tmp",  # noqa: S108 - of the image
    "/var/tmp",  # noqa: S108 - of the image
    "/mnt",
    "/media",
    "/data",
    "/var/lib/cloud",
)
PLACES_IN_ANY_SYSTEM = tuple(f"{folder}/" for folder in _ALWAYS)
_ALWAYS_IN_WINDOWS = (
    "/Users",
    "/ProgramData/ssh",
    "/inetpub",
    "/Windows/Panther",
    "/Windows/Setup/Scripts",
    "/Windows/System32/Sysprep",
    "/Windows/OEM",
    "/Temp",
    "/Windows/Temp",
)
# Of every Windows' own: caches, logs, and the folders of packaged programs.
_PUBLIC_IN_WINDOWS = ("/appdata/local/microsoft/", "/appdata/local/packages/", "/appdata/local/temp/", "/appdata/locallow/")
# Homes of system accounts that are folders of the whole system.
_NO_HOMES = frozenset(
    {"/", "/bin", "/sbin", "/dev", "/proc", "/sys", "/run", "/usr", "/lib", "/boot", "/var", "/var/lib", "/var/run"}
)
_NO_HOMES_BELOW = ("/usr/", "/proc/", "/sys/", "/dev/", "/bin/", "/sbin/", "/lib/", "/nonexistent", "/var/cache/", "/var/spool/")
# Keys of tests and of examples are no secrets: folders of these names are passed over.
_PUBLIC = frozenset(
    {"test", "tests", "testdata", "test-data", "fixtures", "example", "examples", "sample", "samples", "doc", "docs"}
) | {
    "site-packages",
    "dist-packages",
    "node_modules",
    "ca-certificates",
    "ca-trust",
    "trust-source",
}


def homes(facts: Facts) -> list[tuple[str, str]]:
    """Probe: (account, home folder) of all who can have files of their own there, root first."""
    if family_of(facts) == "windows":
        return list(islice(_homes_of_windows(facts), HOMES_MAX))
    known = facts.get(accounts)
    found = {"/root": "root"}
    for account in () if isinstance(known, Unreadable) else known:
        home = _home(account)
        if home is not None and len(found) < HOMES_MAX:
            found.setdefault(home, account.name)
    tree = facts.files()
    for name in tree.names("/home")[:HOMES_MAX]:
        found.setdefault(f"/home/{name}", name)
    return [(name, home) for home, name in found.items()]


def _homes_of_windows(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the profiles: what lies right in /Users, which a walk yields first; junctions such as `All Users` are none."""
    for found, inode in takewhile(lambda one: one[0].path.count("/") == 2, facts.files().walk("/Users")):
        if inode.kind == stat.S_IFDIR:
            yield found.path.rpartition("/")[2], found.path


def _home(account: Account) -> str | None:
    home = "/" + account.home.strip("/")
    return None if home in _NO_HOMES or home.startswith(_NO_HOMES_BELOW) or ".." in home else home


def places_of_secrets(facts: Facts) -> tuple[str, ...]:
    """Return the folders, each with a slash at its end."""
    if family_of(facts) == "windows":
        return tuple(f"{folder}/" for folder in _ALWAYS_IN_WINDOWS)
    known = facts.get(homes)
    always = PLACES_IN_ANY_SYSTEM
    own = () if isinstance(known, Unreadable) else (f"{home}/" for _, home in known)
    return always + tuple(home for home in own if not home.startswith(always))


def is_place_of_secrets(path: str, places: tuple[str, ...]) -> bool:
    """Whether a file at `path` may be one that somebody left, and not one that many have."""
    if not path.startswith(places):
        return False
    folders = path.split("/")[1:-1]
    top = folders[:1]
    if top == ["Users"] and any(one in path.lower() for one in _PUBLIC_IN_WINDOWS):
        return False
    # An account may be called test.
    return not _PUBLIC.intersection(folders[2:] if top in (["home"], ["Users"]) else folders[1:])
