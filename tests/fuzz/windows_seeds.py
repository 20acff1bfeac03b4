"""Disks of a Windows with faults of its own kind: in two hives, in an answer file, and as a file that should not be there."""

from pathlib import Path
from typing import Final

from tests.fuzz.seeds import seed
from tests.inspector.windows_disks import ntfs, on_gpt, on_mbr, put
from tests.inspector.windows_registry import DISK_CLASS, PACKAGES, SOFTWARE, SYSTEM, changed, hive

_FILTER, _PACKAGE, _PASSWORD = "fuzz-nobody-filter", "Package_for_KB5009624~fuzz", "FuzzGeheim4711"
_PENDING: Final = b"<PendingTransaction fuzz='4711'/>"
FAULTS: Final = (_FILTER.encode("utf-16-le"), _PACKAGE.encode(), _PASSWORD.encode(), _PENDING)
"""Judged by Disk, Hotfix, Secrets and Update, in four files of three folders: without its hives it is blocked for that."""


def _faulty(folder: Path) -> Path:
    volume = ntfs(folder / "volume")
    config = "/Windows/System32/config"
    put(volume, f"{config}/SYSTEM", hive(changed(SYSTEM, (DISK_CLASS, {"UpperFilters": ["partmgr", _FILTER]}))))
    put(volume, f"{config}/SOFTWARE", hive(changed(SOFTWARE, (f"{PACKAGES}\\{_PACKAGE}", {"CurrentState": 0x70}))))
    put(volume, "/Windows/Panther/unattend.xml", f"<Password><Value>{_PASSWORD}</Value></Password>".encode())
    put(volume, "/Windows/WinSxS/pending.xml", _PENDING)
    return volume


@seed("windows-gpt", markers=FAULTS, repairs=("gpt",))
def _gpt(folder: Path) -> Path:
    return on_gpt(folder / "disk", _faulty(folder))


@seed("windows-mbr", markers=FAULTS)
def _mbr(folder: Path) -> Path:
    return on_mbr(folder / "disk", _faulty(folder))
