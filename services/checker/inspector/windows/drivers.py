# SPDX-License-Identifier: AGPL-3.0-or-later
"""Drivers: services of the registry, whether they start with the kernel, and whether their files are there.

Sources: Microsoft, Services in the registry; Specifying driver load order.
"""

from dataclasses import dataclass

from facts import Facts
from findings import Evidence, Unreadable, attempt
from windows.registry import control_set, file_of, known

DISK_VIRTIO = "viostor"
"""virtio-blk, which clouds give as the system disk; vioscsi is for another kind of disk."""
NETWORK_VIRTIO = "netkvm"
BOOT_START, AUTO_START, DISABLED = 0, 2, 4
_STARTS = {0: "with the kernel", 1: "after the kernel", 2: "by itself", 3: "on demand", 4: "disabled"}
_STORE = "/Windows/System32/DriverStore/FileRepository"


@dataclass(frozen=True, slots=True)
class Service:
    """A service: when it starts (0 with the kernel … 4 disabled; None if nobody says), its program, and whether that is there.

    `overridden` is what StartOverride says for the hardware profile in use, which counts above Start.
    """

    name: str
    start: int | None
    overridden: int | None
    image_path: str
    file: str | None
    evidence: Evidence

    @property
    def starts(self) -> int | None:
        """When it starts."""
        return self.start if self.overridden is None else self.overridden

    @property
    def told(self) -> str:
        """Return in words when it starts, and what is missing."""
        if self.file is None:
            return f"{self.name}: its file {self.image_path} is not there"
        return f"{self.name} starts {_STARTS.get(-1 if self.starts is None else self.starts, 'never')}"


def service(facts: Facts, name: str) -> Service | None:
    """Return the service called `name`; None if there is none. Raises `Unreadable`."""
    key = known(facts, control_set).key(f"Services\\{name}")
    if key is None:
        return None
    override = key.key("StartOverride")
    overridden = None if override is None else override.number("0")
    path = key.text("ImagePath") or f"System32\\drivers\\{name}.sys"
    found = attempt(lambda: file_of(facts.files(), path))
    if isinstance(found, Unreadable):
        raise found
    start = key.number("Start")
    said = f"Start = {start}" if overridden is None else f"Start = {start}, StartOverride\\0 = {overridden}"
    evidence = key.evidence(f"{said}, ImagePath = {path}")
    return Service(name, start, overridden, path, None if found is None else found.path, evidence)


def in_store(facts: Facts, name: str) -> str | None:
    """Return the folder of the driver store that holds the driver `name`, from which a first start installs it; None if none."""
    tree = facts.files()
    return next((f"{_STORE}/{one}" for one in tree.names(_STORE) if one.lower().startswith(f"{name}.inf_")), None)
