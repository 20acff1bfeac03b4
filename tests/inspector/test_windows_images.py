"""Whole disk images of a Windows go through the inspector: a clean one passes, troubles planted in one are found."""

from pathlib import Path

import pytest

from shared.contracts.rules import declared_items
from tests.inspector.disks import item, report_of, verdict
from tests.inspector.windows_disks import copied, ntfs, on_gpt, on_mbr, put
from tests.inspector.windows_registry import SYSTEM, hive
from tests.inspector.windows_roots import PROGRAM


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ntfs(tmp_path_factory.mktemp("windows") / "ntfs")


MAKERS = {"UEFI": on_gpt, "BIOS": on_mbr}


@pytest.mark.parametrize("firmware", MAKERS)
async def test_a_clean_windows_passes(volume: Path, tmp_path: Path, firmware: str) -> None:
    report = await report_of(MAKERS[firmware](tmp_path / "disk", volume))
    levels = {one.name: one.level for one in report.items}
    assert set(declared_items("2", "windows")) <= levels.keys(), report.error
    warned = {name for name in declared_items("2", "windows") if levels[name] != "ok"}
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
