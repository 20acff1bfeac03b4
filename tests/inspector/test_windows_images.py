"""Whole disk images of a Windows, made by the tools of NTFS, FAT and partition tables, with hives that hivex wrote."""

import lzma
from pathlib import Path

import pytest

from shared.contracts.rules import declared_items
from tests.inspector.disks import MIB, item, report_of, tool, verdict
from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import SYSTEM, hive
from tests.inspector.windows_roots import BOOT_FILES, PART_UUID, PROGRAM, SIGNATURE, SYSTEM_FILES

assert facts_of
DATA = Path(__file__).with_name("data")
HIVES = {"SYSTEM": "system", "SOFTWARE": "software", "SAM": "other", "SECURITY": "other", "DEFAULT": "other"}
BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
RESERVED = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"
NO_FOLDER_FOR = ("/ProgramData/aliyun/", "/Users/")


def unpacked(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the NTFS of a Windows that nothing is wrong with; ntfscp makes no folders, so what would need some is left out."""
    path = tmp_path_factory.mktemp("windows") / "ntfs"
    write_sparse(path, 0, unpacked("ntfs.img"))
    for name, kind in HIVES.items():
        put(path, f"/Windows/System32/config/{name}", unpacked(f"windows-{kind}.hive"))
    for place, content in SYSTEM_FILES.items():
        if not place.startswith(NO_FOLDER_FOR):
            put(path, place, content)
    return path


def write_sparse(path: Path, at: int, content: bytes) -> None:
    """Write `content` at byte `at`, holes left out: most of a small file system is one."""
    with path.open("r+b" if path.exists() else "wb") as file:
        for start in range(0, len(content), 64 * 1024):
            piece = content[start : start + 64 * 1024]
            if piece != bytes(len(piece)):
                file.seek(at + start)
                file.write(piece)
        file.truncate(max(at + len(content), path.stat().st_size))


def put(image: Path, place: str, content: bytes) -> None:
    """Write a file into an NTFS, in place of one that is there."""
    source = image.with_suffix(".file")
    source.write_bytes(content)
    tool("ntfscp", "-q", image, source, place.lstrip("/"))


def copied(image: Path, path: Path) -> Path:
    tool("cp", "--sparse=always", image, path)
    return path


def on_gpt(path: Path, volume: Path) -> Path:
    """Make a disk that boots by UEFI: an EFI system partition, the reserved one, and the system."""
    size = volume.stat().st_size
    tool("truncate", "-s", str(size + 20 * MIB), path)
    rows = (
        "label: gpt",
        "start=1MiB, size=16MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        f"start=17MiB, size=1MiB, type={RESERVED}",
        f'start=18MiB, size={size // MIB}MiB, type={BASIC_DATA}, uuid={PART_UUID.upper()}, name="Basic data partition"',
    )
    tool("sfdisk", "-q", path, stdin="\n".join(rows))
    esp = path.with_suffix(".esp")
    tool("mkfs.vfat", "-F", "16", "-s", "1", "-C", esp, "16384")
    tool("mmd", "-i", esp, "::EFI", "::EFI/Boot", "::EFI/Microsoft", "::EFI/Microsoft/Boot")
    for place, content in {**BOOT_FILES, "/EFI/Microsoft/Boot/BCD": unpacked("windows-bcd-gpt.hive")}.items():
        source = path.with_suffix(".file")
        source.write_bytes(content)
        tool("mcopy", "-i", esp, source, f"::{place}")
    return filled(path, {1: esp, 18: volume})


def on_mbr(path: Path, volume: Path) -> Path:
    """Make a disk that boots by BIOS: one active partition that holds everything."""
    size = volume.stat().st_size
    own = copied(volume, path.with_suffix(".volume"))
    put(own, "/bootmgr", b"\xeb\x00 the boot manager")
    put(own, "/Boot/BCD", unpacked("windows-bcd-mbr.hive"))
    tool("truncate", "-s", str(size + 2 * MIB), path)
    tool("sfdisk", "-q", path, stdin=f"label: dos\nlabel-id: {SIGNATURE:#x}\nstart=1MiB, size={size // MIB}MiB, type=7, bootable")
    with path.open("r+b") as disk:
        disk.write(b"\x33\xc0\x8e\xd0")
    return filled(path, {1: own})


def filled(path: Path, parts: dict[int, Path]) -> Path:
    for mib, part in parts.items():
        write_sparse(path, mib * MIB, part.read_bytes())
    return path


MAKERS = {"UEFI": on_gpt, "BIOS": on_mbr}


@pytest.mark.parametrize("firmware", MAKERS)
async def test_a_clean_windows_passes(volume: Path, tmp_path: Path, firmware: str) -> None:
    report = await report_of(MAKERS[firmware](tmp_path / "disk", volume))
    levels = {one.name: one.level for one in report.items}
    assert set(declared_items("2", "windows")) <= levels.keys(), report.error
    warned = {name for name, level in levels.items() if level != "ok"}
    # The folders of both are what ntfscp cannot make.
    assert warned == {"GUESTOS.CloudAssistant", "GUESTOS.DesktopConfig"}, [one for one in report.items if one.name in warned]
    assert item(report, "DesktopConfig").code == "DesktopConfig.NoDesktopIni"
    found = report.attributes
    assert (found.platform, found.os_version) == ("Windows Server 2022", "Windows Server 2022 Datacenter 21H2")
    assert (found.kernel_version, found.architecture) == ("10.0.20348.1547", "x86_64")
    assert item(report, "BootMgr").value == firmware
    assert verdict(report).outcome == "passed"


async def test_troubles_in_a_whole_image_are_found(volume: Path, tmp_path: Path) -> None:
    own = copied(volume, tmp_path / "volume")
    put(own, "/Windows/System32/config/SYSTEM", hive(SYSTEM, sequences=(8, 7)))
    put(own, "/Windows/Panther/unattend.xml", b"<Password>\r\n <Value>Sup3rGeheim</Value></Password>")
    put(own, "/Windows/WinSxS/pending.xml", PROGRAM)
    report = await report_of(on_gpt(tmp_path / "disk", own))
    registry, secrets = item(report, "Registry"), item(report, "Secrets")
    assert (registry.level, registry.code) == ("failed", "Registry.Dirty")
    assert (secrets.level, secrets.code) == ("failed", "Secrets.Credentials")
    assert (secrets.evidence[0].path, secrets.evidence[0].line) == ("/Windows/Panther/unattend.xml", 1)
    assert "Geheim" not in report.model_dump_json()
    # What needs the hive cannot be judged, and what does not still is.
    assert {item(report, name).level for name in ("Virtio", "Disk", "Xen", "Server", "DesktopConfig")} == {"unsupported"}
    assert item(report, "Platform").value == "Windows Server 2022"
    assert verdict(report).outcome == "blocked"
