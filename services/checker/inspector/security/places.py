# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where people leave secrets in an image: homes, /etc, and the folders of services; not where packages put what everybody has."""

from facts import Facts
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


def _home(account: Account) -> str | None:
    home = "/" + account.home.strip("/")
    return None if home in _NO_HOMES or home.startswith(_NO_HOMES_BELOW) or ".." in home else home


def places_of_secrets(facts: Facts) -> tuple[str, ...]:
    """Return the folders, each with a slash at its end."""
    known = facts.get(homes)
    always = tuple(f"{folder}/" for folder in _ALWAYS)
    own = () if isinstance(known, Unreadable) else (f"{home}/" for _, home in known)
    return always + tuple(home for home in own if not home.startswith(always))


def is_place_of_secrets(path: str, places: tuple[str, ...]) -> bool:
    """Whether a file at `path` may be one that somebody left, and not one that many have."""
    if not path.startswith(places):
        return False
    folders = path.split("/")[1:-1]
    # An account may be called test.
    return not _PUBLIC.intersection(folders[2:] if folders[0] == "home" else folders[1:])
