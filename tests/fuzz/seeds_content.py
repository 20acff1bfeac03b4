"""Seeds for what lies in files: the hives of a Windows, and databases of packages."""

import lzma
import struct
from functools import cache
from pathlib import Path
from typing import Final

from tests.fuzz.mutant import Copy
from tests.fuzz.repairs import REPAIRS
from tests.fuzz.seeds import Make, by_debugfs, ext, faulty, made_by_linux, seed
from tests.inspector.disks import DATA, tool
from tests.inspector.volumes import mbr

_HIVES: Final = {"SYSTEM": "system", "SOFTWARE": "software", "SAM": "other", "SECURITY": "other", "DEFAULT": "other"}
_PROGRAM: Final = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", 0x8664) + bytes(58)
_PROGRAMS: Final = ("ntoskrnl.exe", "winload.exe", "drivers/netkvm.sys", "drivers/partmgr.sys", "svchost.exe")
_APK: Final = "C:Q1abc\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\nF:lib\nR:libc.so\na:0:0:755\n\n" * 20
_STATUS: Final = (
    "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9+b1\n\n" * 20
)


def _unpacked(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


@cache
def _bases(copy: Copy) -> tuple[int, ...]:
    """Return where hives begin."""
    found, data = [], copy.original(0, copy.size)
    at = data.find(b"regf")
    while at >= 0:
        if not at % 512:
            found.append(at)
        at = data.find(b"regf", at + 4)
    return tuple(found)


def _hives(copy: Copy) -> None:
    """Checksums of the hives' first blocks: all of its words, one over the other."""
    for at in _bases(copy):
        base = copy.read(at, 512)
        if base != copy.original(at, 512):
            total = 0
            for word in struct.unpack("<127I", base[:508]):
                total ^= word
            copy.write(at + 508, struct.pack("<I", {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(total, total)))


REPAIRS["hives"] = _hives


@seed("windows", markers=(), repairs=("hives",))
def _windows(folder: Path) -> Path:
    """A Windows without the driver of its disk, which nothing but that driver's file mends."""
    volume, source = made_by_linux("ntfs")(folder), folder / "source"
    files = {f"Windows/System32/config/{name}": _unpacked(f"windows-{kind}.hive") for name, kind in _HIVES.items()}
    files |= {f"Windows/System32/{name}": _PROGRAM for name in _PROGRAMS} | {"Boot/BCD": _unpacked("windows-bcd-mbr.hive")}
    for place, content in files.items():
        source.write_bytes(content)
        tool("ntfscp", "-q", volume, source, place)
    return mbr(folder / "disk", [(volume, 48)], type_="7")


def _packages(*databases: tuple[str, bytes]) -> Make:
    def make(folder: Path) -> Path:
        root = faulty()
        root.files.update(databases)
        return ext("ext4", mib=16, root=root)(folder)

    return make


seed("packages-deb-apk", read_file=by_debugfs)(
    _packages(("var/lib/dpkg/status", _STATUS.encode()), ("lib/apk/db/installed", _APK.encode()))
)
seed("packages-rpm-sqlite", read_file=by_debugfs)(_packages(("usr/lib/sysimage/rpm/rpmdb.sqlite", _unpacked("rpmdb.sqlite"))))
seed("packages-rpm-bdb", read_file=by_debugfs)(_packages(("var/lib/rpm/Packages", _unpacked("Packages"))))
