"""Small disk images made without mounts or root's powers: a Debian as the inspector knows one, whole or with planted troubles."""

import atexit
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from services.checker.adapters.databases.store import DatabaseStore
from services.checker.adapters.inspector_process import InspectorLimits
from services.checker.adapters.malware_search import MalwareSearches
from services.checker.handlers.check_file import check_file
from shared.contracts.gate import GateVerdict, weigh
from shared.contracts.report import Item, Report
from shared.policy import shipped_policy
from tests.checker.databases import recent_databases
from tests.inspector.linux_roots import complete

MIB: Final = 1 << 20
DATA: Final = Path(__file__).with_name("data")
ROOT_UUID: Final = "11111111-2222-4333-8444-555555555555"
PART_UUID: Final = "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"
KERNEL: Final = "6.1.0-18-amd64"
OS_RELEASE: Final = 'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n'
DPKG_STATUS: Final = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4+deb12u5\n"
FSTAB: Final = f"# file systems\nUUID={ROOT_UUID} / ext4 errors=remount-ro 0 1\n"
_TOOLS: Final = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"}


def write_with_holes(target: Path, pieces: Iterable[bytes]) -> None:
    """Write a file piece by piece, those of nothing but zeros left out: most of a small file system is one."""
    with target.open("wb") as file:
        for piece in pieces:
            if any(piece):
                file.write(piece)
            else:
                file.seek(len(piece), os.SEEK_CUR)
        file.truncate(file.tell())


def unpack_made_by_linux(name: str, target: Path) -> None:
    """Unpack an image that Linux itself made: see data/make.sh."""
    with lzma.open(DATA / f"{name}.img.xz") as packed:
        write_with_holes(target, iter(lambda: packed.read(MIB), b""))


def tool(*command: str | Path, stdin: str | None = None) -> None:
    """Run a tool; raises `CalledProcessError` if it fails."""
    subprocess.run([str(word) for word in command], input=stdin, text=True, check=True, capture_output=True, env=_TOOLS)


@dataclass
class Root:
    """The files of a root file system: path → content; what maps to None is left out; `links` are symlinks."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Lay the files out in `folder`."""
        shell = bytearray(64)
        shell[:6] = b"\x7fELF\x02\x01"
        shell[18:20] = struct.pack("<H", 62)
        system = {path.strip("/"): file for path, file in complete().items() if path != "/bin/sh"}
        files: Mapping[str, bytes | None] = {
            **{path: file.data for path, file in system.items() if file.link is None},
            "etc/os-release": OS_RELEASE.encode(),
            "etc/fstab": FSTAB.encode(),
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
            "etc/shadow": b"root:*:20000::::::\n",
            "usr/bin/sh": bytes(shell),
            "var/lib/dpkg/status": DPKG_STATUS.encode(),
            **self.files,
        }
        for path, content in files.items():
            if content is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
                (folder / path).chmod(system[path].permissions if path in system else 0o644)
        links = {path: file.link for path, file in system.items() if file.link is not None}
        for path, target in {"bin": "usr/bin", **links, **self.links}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(target)


def ext4(path: Path, root: Root | None = None, *, mib: int = 8, label: str = "system") -> Path:
    """Make an ext4 file system of `root` in the file `path`."""
    folder = path.with_name(path.name + ".root")
    (root or Root()).write(folder)
    path.unlink(missing_ok=True)
    tool("truncate", "-s", str(mib * MIB), path)
    tool("mke2fs", "-q", "-t", "ext4", "-U", ROOT_UUID, "-L", label, "-d", folder, path)
    shutil.rmtree(folder)
    return path


def gpt(path: Path, root: Path, *, bios: bool = True, uefi: bool = True, loader: bool = True) -> Path:
    """Make a disk with a GPT around the file system image `root`, bootable by BIOS, by UEFI, by both, or not.

    `loader`: whether there is one on the EFI system partition.
    """
    size = root.stat().st_size // MIB
    tool("truncate", "-s", str((size + 8) * MIB), path)
    rows = ["label: gpt"]
    if bios:
        rows.append("start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649")
    if uefi:
        rows.append("start=2MiB, size=2MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
    kind = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
    rows.append(f'start=4MiB, size={size}MiB, type={kind}, uuid={PART_UUID}, name="root"')
    tool("sfdisk", "-q", path, stdin="\n".join(rows))
    with path.open("r+b") as disk:
        disk.seek(4 * MIB)
        disk.write(root.read_bytes())
        if uefi:
            esp = path.with_suffix(".esp")
            tool("truncate", "-s", str(2 * MIB), esp)
            tool("mkfs.vfat", "-i", "CAFE0001", "-n", "BOOTFS", esp)
            if loader:
                tool("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
                tool("mcopy", "-i", esp, "-", "::EFI/BOOT/BOOTX64.EFI", stdin="MZ")
            disk.seek(2 * MIB)
            disk.write(esp.read_bytes())
    return path


def qcow2(path: Path, raw: Path, *options: str) -> Path:
    """Convert `raw` to qcow2."""
    tool("qemu-img", "convert", "-O", "qcow2", *options, raw, path)
    return path


@cache
def _searches() -> MalwareSearches:
    return MalwareSearches(None)


@cache
def _recent() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="image-commons-databases-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return recent_databases(folder)


async def report_of(path: Path, stated_format: str | None = None, *, limits: InspectorLimits | None = None) -> Report:
    """Check the file with the real inspector, the rules that ship, and a recent database."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return await check_file(
            descriptor,
            stated_format=stated_format,
            limits=limits,
            malware=_searches().now(),
            databases=DatabaseStore(_recent()),
        )
    finally:
        os.close(descriptor)


def verdict(report: Report) -> GateVerdict:
    """Weigh a report as the gate does."""
    return weigh(
        report.items,
        shipped_policy("gate").region().gate,
        rules_version=report.rules_version,
        platform=report.attributes.platform,
        databases=report.databases,
        now=report.finished_at,
        complete=report.complete,
        error=report.error,
    )


def item(report: Report, name: str) -> Item:
    """Return the report's item of that name, `SECURITY.` or `GUESTOS.` left out."""
    (found,) = [one for one in report.items if one.name.split(".")[1] == name]
    return found
