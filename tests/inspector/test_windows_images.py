"""Whole disk images of a Windows go through the inspector: clean ones pass, troubles planted in one are found where they are."""

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.checker.handlers.check_file import check_file
from shared.contracts.report import Report
from shared.contracts.rules import declared_items
from tests.inspector.disks import MIB, item, report_of, verdict
from tests.inspector.malware import EICAR
from tests.inspector.windows_disks import BIOS_STORE, UEFI_STORE, copied, ntfs, on_gpt, on_mbr, put, unpacked, write_sparse
from tests.inspector.windows_registry import (
    CONTROLS,
    DISK_CLASS,
    PACKAGES,
    RELEASES,
    SERVICES,
    SOFTWARE,
    SYSTEM,
    Data,
    bcd,
    changed,
    hive,
    software,
)
from tests.inspector.windows_registry import on_gpt as gpt_device
from tests.inspector.windows_registry import on_mbr as mbr_device
from tests.inspector.windows_roots import CONFIG, PROGRAM, START

Changes = tuple[tuple[str, Mapping[str, Data | None] | None], ...]
MAKERS: dict[str, Callable[..., Path]] = {"UEFI": on_gpt, "BIOS": on_mbr}
DECLARED = declared_items("2", "windows")
CLEAN: list[tuple[str, str | None]] = [("UEFI", None), ("BIOS", None), ("BIOS", "2016"), ("UEFI", "2019"), ("UEFI", "2025")]
VERSION = "Microsoft\\Windows NT\\CurrentVersion"


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ntfs(tmp_path_factory.mktemp("windows") / "ntfs")


@pytest.fixture(scope="session")
def windows_disk(volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return on_gpt(tmp_path_factory.mktemp("windows") / "disk", volume)


def levels(report: Report) -> dict[str, tuple[str, str | None]]:
    assert report.error is None
    return {one.name.partition(".")[2]: (one.level, one.code) for one in report.items}


@pytest.mark.parametrize(("firmware", "year"), CLEAN)
async def test_a_clean_windows_passes(volume: Path, tmp_path: Path, firmware: str, year: str | None) -> None:
    """Those without a year have hives that hivex wrote, of 2022."""
    own = copied(volume, tmp_path / "volume")
    if year is not None:
        put(own, f"{CONFIG}/SOFTWARE", hive(software(year)))
    report = await report_of(MAKERS[firmware](tmp_path / "disk", own))
    found = {one.name: one for one in report.items}
    assert {name: found[name].level for name in DECLARED} == dict.fromkeys(DECLARED, "ok"), report.error
    build, revision, release = RELEASES[year or "2022"]
    told = report.attributes
    platform = f"Windows Server {year or 2022}"
    assert (told.platform, told.os_version) == (platform, f"{platform} Datacenter {release}")
    assert (told.kernel_version, told.architecture) == (f"10.0.{build}.{revision}", "x86_64")
    assert item(report, "BootMgr").value == firmware
    assert verdict(report).outcome == "passed"


@dataclass(frozen=True)
class Round:
    """Troubles of one disk: changes of the hives, files of the system, files to start by, and what each item must say and where.

    `found` is, by item, level, code and the evidence's path; no path is asked for where it is None. `drawn_along` are items that
    cannot be judged then.
    """

    found: Mapping[str, tuple[str, str, str | None]]
    system: Changes = ()
    software: Changes = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    boot: Mapping[str, bytes | None] = field(default_factory=dict)
    drawn_along: frozenset[str] = frozenset()


_SYSTEM, _SOFTWARE, _SAM = (f"{CONFIG}/{name}" for name in ("SYSTEM", "SOFTWARE", "SAM"))
_OTHER_DISK = {
    UEFI_STORE: hive(bcd(gpt_device(uuid.UUID(int=4711).bytes_le), uefi=True)),
    BIOS_STORE: hive(bcd(mbr_device(START, 0x4711), uefi=False)),
}
_KEY, _KERNEL = "/Users/Administrator/.ssh/id_rsa", "/Windows/System32/ntoskrnl.exe"
_AGENT = "/ProgramData/aliyun/assist/2.1.4.965/aliyun_assist_service.exe"
_PLANTED_KEY = (
    b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEowIBAAKCAQEA7m2uVxq5TzXw0b5Lk8Zr\n" * 24 + b"-----END RSA PRIVATE KEY-----\n"
)
ROUNDS = {
    "it would not start": Round(
        {
            "Virtio": ("failed", "Virtio.NotAtBoot", _SYSTEM),
            "Disk": ("failed", "Disk.NoFilterDriver", _SYSTEM),
            "Xen": ("failed", "Xen.HiddenDevices", _SYSTEM),
            "Sysprep": ("failed", "Sysprep.Interrupted", _SYSTEM),
            "Update": ("failed", "Update.Unfinished", _SYSTEM),
            "Hotfix": ("failed", "Hotfix.Bad", _SOFTWARE),
            "Registry": ("failed", "Registry.Damaged", _SAM),
            "Secrets": ("failed", "Secrets.Credentials", _SOFTWARE),
            "BCD": ("failed", "BCD.NoSuchDevice", "STORE"),
        },
        (
            (f"{SERVICES}\\viostor", {"Start": 3}),
            (DISK_CLASS, {"UpperFilters": ["partmgr", "snapman"]}),
            (f"{SERVICES}\\XenPCI\\Parameters", {"hide_devices": ["IDE"]}),
            ("Setup", {"SetupType": 0}),
            (f"{CONTROLS}\\Control\\Session Manager", {"SETUPEXECUTE": ["%SystemRoot%\\system32\\poqexec.exe /noreboot"]}),
        ),
        (
            (f"{PACKAGES}\\Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.768.1.5", {"CurrentState": 0x70}),
            (f"{VERSION}\\Winlogon", {"DefaultPassword": "Sup3rGeheim"}),
        ),
        {_SAM: b"text"},
        _OTHER_DISK,
    ),
    "its user would miss something": Round(
        {
            "Server": ("warning", "Server.DeviceInstallDisabled", _SYSTEM),
            "DesktopConfig": ("warning", "DesktopConfig.RemoteDesktopOff", _SYSTEM),
            "CloudAssistant": ("warning", "CloudAssistant.NotEnabled", _AGENT),
            "BootMgr": ("failed", "BootMgr.Missing", None),
            "Secrets": ("failed", "Secrets.PrivateKey", _KEY),
            "Malware": ("failed", "Malware.Signature", "/Users/Public/Desktop/eicar.com"),
        },
        (
            (f"{SERVICES}\\DeviceInstall\\Parameters", {"DeviceInstallDisabled": 1}),
            (f"{CONTROLS}\\Control\\Terminal Server", {"fDenyTSConnections": 1}),
            (f"{SERVICES}\\AliyunService", {"Start": 4}),
        ),
        files={_KEY: _PLANTED_KEY, "/Users/Public/Desktop/eicar.com": EICAR},
        boot={"/EFI/Microsoft/Boot/bootmgfw.efi": None, "/bootmgr": None},
    ),
    "it does not say what it is": Round(
        {
            "Platform": ("unsupported", "Platform.Unknown", None),
            "OSVersion": ("unsupported", "OSVersion.Unknown", None),
            "KernelVersion": ("unsupported", "KernelVersion.Unknown", None),
            "Architecture": ("unsupported", "Architecture.Unknown", None),
        },
        ((f"{CONTROLS}\\Control\\Session Manager\\Environment", None),),
        ((VERSION, {"ProductName": None}),),
        {_KERNEL: b"no program"},
        drawn_along=frozenset({"Hotfix"}),
    ),
}


@pytest.mark.parametrize("firmware", MAKERS)
@pytest.mark.parametrize("name", ROUNDS)
async def test_what_is_planted_is_found_where_it_is(volume: Path, tmp_path: Path, name: str, firmware: str) -> None:
    planted, own = ROUNDS[name], copied(volume, tmp_path / "volume")
    for path, keys, changes in ((_SYSTEM, SYSTEM, planted.system), (_SOFTWARE, SOFTWARE, planted.software)):
        put(own, path, hive(changed(keys, *changes)))
    for path, content in planted.files.items():
        put(own, path, content)
    boot = {path: content for path, content in planted.boot.items() if path.startswith("/EFI") == (firmware == "UEFI")}
    report = await report_of(MAKERS[firmware](tmp_path / "disk", own, boot))
    found = levels(report)
    assert {one: found[one] for one in planted.found} == {one: (level, code) for one, (level, code, _) in planted.found.items()}
    store = {"UEFI": UEFI_STORE, "BIOS": BIOS_STORE}[firmware]
    for one, (*_, path) in planted.found.items():
        if path is not None:
            assert path.replace("STORE", store) in {place.path for place in item(report, one).evidence}, item(report, one)
    others = {name.partition(".")[2] for name in DECLARED} - planted.found.keys() - planted.drawn_along
    assert {one: found[one] for one in others if found[one][0] != "ok"} == {}
    assert verdict(report).outcome == (
        "blocked" if any(level == "failed" for level, *_ in planted.found.values()) else "undetermined"
    )


async def test_what_a_hive_that_was_not_closed_says_is_not_believed(volume: Path, tmp_path: Path) -> None:
    own = copied(volume, tmp_path / "volume")
    put(own, _SYSTEM, hive(SYSTEM, sequences=(8, 7)))
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
    assert {item(report, name).level for name in ("BCD", "BootMgr", "Platform", "Hotfix")} == {"ok"}
    assert verdict(report).outcome == "blocked"


@pytest.mark.parametrize("firmware", MAKERS)
async def test_what_is_no_whole_windows_is_blocked(volume: Path, tmp_path: Path, firmware: str) -> None:
    """A system that BitLocker encrypted, one without its hives, and one cut off."""
    locked, empty = copied(volume, tmp_path / "locked"), tmp_path / "empty"
    write_sparse(empty, 0, unpacked("ntfs.img"))
    disk = MAKERS[firmware](tmp_path / "disk", locked)
    with disk.open("r+b") as file:
        # After the making of the disk: nothing can be put into an encrypted system.
        file.seek((18 if firmware == "UEFI" else 1) * MIB)
        file.write(b"\xeb\x58\x90-FVE-FS-")
    report = await report_of(disk)
    assert (levels(report)["Encryption"], verdict(report).outcome) == (("failed", "Encryption.BitLocker"), "blocked")
    assert item(report, "SystemImage").code == "SystemImage.Encrypted"
    report = await report_of(MAKERS[firmware](tmp_path / "empty.disk", empty))
    assert (levels(report)["SystemImage"], verdict(report).outcome) == (("failed", "SystemImage.DataOnly"), "blocked")
    whole = MAKERS[firmware](tmp_path / "cut", volume)
    os.truncate(whole, whole.stat().st_size - 8 * MIB)
    report = await report_of(whole)
    assert (levels(report)["DiskFormat"], verdict(report).outcome) == (("failed", "DiskFormat.Truncated"), "blocked")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("windows2022_kernel10.0.20348_x86_64_20260101", None),
        ("windows2019_kernel10.0.20348_x86_64_20260101", "Claims.Version"),
    ],
)
async def test_claims_are_compared_with_a_whole_windows(windows_disk: Path, name: str, code: str | None) -> None:
    descriptor = os.open(windows_disk, os.O_RDONLY)
    try:
        found = item(await check_file(descriptor, name=name), "Claims")
    finally:
        os.close(descriptor)
    assert (found.level, found.code) == (("failed" if code else "ok"), code)
