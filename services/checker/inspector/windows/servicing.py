# SPDX-License-Identifier: AGPL-3.0-or-later
"""Updates: the packages that component based servicing knows, and what of them waits for a restart.

Sources: Microsoft, CBS servicing states chart; Windows Update release notes (which build a cumulative update brings).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from facts import Facts
from findings import Evidence, Unreadable
from windows.hive import Key
from windows.registry import control_set, known, software

_CURRENT = "Microsoft\\Windows\\CurrentVersion"
_SERVICING = f"{_CURRENT}\\Component Based Servicing"
PACKAGES_MAX = 60_000
UNINSTALL_PENDING, INSTALL_PENDING, PARTIAL, INSTALLED, PERMANENT = 0x05, 0x60, 0x65, 0x70, 0x80
IS_IN = frozenset({INSTALL_PENDING, PARTIAL, INSTALLED, PERMANENT})
"""The states of a package whose files are there, or will be at the next start."""
_KB = re.compile(r"KB(\d{6,8})", re.IGNORECASE)
_ROLLUP = re.compile(r"Package_for_RollupFix~[^~]*~[^~]*~~(\d{4,5}\.\d{1,6})\.", re.IGNORECASE)
_IDENTIFIER = re.compile(rb"<package[^>]{0,400}?\sidentifier=\"KB(\d{6,8})\"")
_MANIFESTS = "/Windows/servicing/Packages"
_MANIFEST_BYTES = 8192
PENDING_FILE = "/Windows/WinSxS/pending.xml"


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its name, its state, the KB number of the update it belongs to, the build that a cumulative one brings."""

    name: str
    state: int
    number: str | None
    build: str | None
    path: str

    def evidence(self, hive: str) -> Evidence:
        """Return evidence of it."""
        return Evidence(hive, text=f"{self.path}: CurrentState = {self.state:#x}")


@dataclass(frozen=True, slots=True)
class Servicing:
    """The packages of updates, those of features left out, and whatever package waits for a restart."""

    hive: str
    updates: tuple[Package, ...]
    pending: tuple[Package, ...]


def servicing(facts: Facts) -> Servicing:
    """Probe: the packages."""
    hive = known(facts, software)
    key = hive.key(f"{_SERVICING}\\Packages")
    if key is None:
        raise Unreadable("NoPackages", "SOFTWARE has no list of Component Based Servicing's packages")
    updates, pending = [], []
    for count, one in enumerate(key.subkeys()):
        if count >= PACKAGES_MAX:
            raise Unreadable("HiveTooMuch", f"{hive.path} lists more than {PACKAGES_MAX} packages")
        state = one.number("CurrentState")
        if state is None:
            continue
        number, rollup = _KB.search(one.name), _ROLLUP.match(one.name)
        build = None if rollup is None else rollup[1]
        found = Package(one.name, state, None if number is None else f"KB{number[1]}", build, one.path)
        if state in (UNINSTALL_PENDING, INSTALL_PENDING):
            pending.append(found)
        if found.number or found.build:
            updates.append(found)
    return Servicing(hive.path, tuple(updates), tuple(pending))


def number_of(facts: Facts, package: Package) -> str | None:
    """Return a package's KB number: by its name, or for a cumulative update by its manifest, where that is readable."""
    if package.number is not None:
        return package.number
    head = facts.files().read_head(f"{_MANIFESTS}/{package.name}.mum", _MANIFEST_BYTES)
    found = None if head is None else _IDENTIFIER.search(head)
    return None if found is None else f"KB{found[1].decode()}"


def unfinished(facts: Facts) -> Iterator[Evidence]:
    """Yield what says that an update waits for a restart, or was cut short. Raises `Unreadable`."""
    found = known(facts, servicing)
    yield from (one.evidence(found.hive) for one in found.pending)
    hive = known(facts, software)
    for path in (
        f"{_SERVICING}\\RebootPending",
        f"{_SERVICING}\\PackagesPending",
        f"{_CURRENT}\\WindowsUpdate\\Auto Update\\RebootRequired",
    ):
        key = hive.key(path)
        if key is not None:
            yield key.evidence()
    sessions = hive.key(f"{_SERVICING}\\SessionsPending")
    if sessions is not None and sessions.number("Exclusive"):
        yield sessions.evidence("Exclusive is not 0")
    manager = known(facts, control_set).key("Control\\Session Manager")
    yield from () if manager is None else _at_start(manager)
    pending = facts.files().find_file(PENDING_FILE)
    if pending is not None:
        yield Evidence(pending.path, text="operations that wait for a restart")


def _at_start(manager: Key) -> Iterator[Evidence]:
    """Yield the entry by which the session manager goes on with an update before anything else starts."""
    for name in ("SetupExecute", "BootExecute"):
        value = manager.value(name)
        texts = () if value is None else value.texts or ()
        if any("poqexec" in text.lower() for text in texts):
            yield manager.evidence(f"{name} goes on with an update")
