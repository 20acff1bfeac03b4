"""The Windows items in both directions: a clean system is judged ok, one with a planted trouble is found out, with where."""

from collections.abc import Mapping
from typing import Any

import pytest

from facts import Facts
from findings import Item
from tests.inspector.windows_registry import (
    CONTROLS,
    CURRENT,
    DISK_CLASS,
    FIREWALL,
    LET_IN,
    PACKAGES,
    ROLLUP,
    SERVICES,
    SERVICING,
    SOFTWARE,
    SYSTEM,
    Data,
    Keys,
    changed,
    hive,
)
from tests.inspector.windows_roots import CONFIG, OURS, Change, judged, windows, with_hive


@pytest.mark.parametrize("uefi", [True, False], ids=["UEFI", "BIOS"])
@pytest.mark.parametrize("name", OURS)
def test_a_clean_windows_is_ok(name: str, uefi: bool) -> None:
    found = judged(name, windows(uefi=uefi))
    assert (found.level, found.code) == ("ok", None), found


IN_SYSTEM: dict[str, tuple[str, Change, str, str, str]] = {
    "no driver of the disk": ("Virtio", (f"{SERVICES}\\viostor", None), "failed", "Virtio.NoDriver", "no service viostor"),
    "a driver that starts on demand": (
        "Virtio",
        (f"{SERVICES}\\viostor", {"Start": 3}),
        "failed",
        "Virtio.NotAtBoot",
        "Start = 3",
    ),
    "a start that is overridden": (
        "Virtio",
        (f"{SERVICES}\\viostor\\StartOverride", {"0": 3}),
        "failed",
        "Virtio.NotAtBoot",
        "StartOverride\\0 = 3",
    ),
    "a driver whose file is elsewhere": (
        "Virtio",
        (f"{SERVICES}\\viostor", {"ImagePath": "System32\\drivers\\gone.sys"}),
        "failed",
        "Virtio.NotAtBoot",
        "gone.sys",
    ),
    "no network": ("Virtio", (f"{SERVICES}\\netkvm", None), "warning", "Virtio.NoNetworkDriver", "netkvm: not installed"),
    "network disabled": ("Virtio", (f"{SERVICES}\\netkvm", {"Start": 4}), "warning", "Virtio.NoNetworkDriver", "Start = 4"),
    "a filter without a file": (
        "Disk",
        (DISK_CLASS, {"UpperFilters": ["partmgr", "snapman"]}),
        "failed",
        "Disk.NoFilterDriver",
        "snapman",
    ),
    "devices hidden by Xen": (
        "Xen",
        (f"{SERVICES}\\XenPCI\\Parameters", {"hide_devices": ["IDE"]}),
        "failed",
        "Xen.HiddenDevices",
        "XenPCI\\Parameters: hide_devices = IDE",
    ),
    "devices hidden, in one text": (
        "Xen",
        (f"{SERVICES}\\XenPCI\\Parameters", {"hide_devices": "IDE,SCSI"}),
        "failed",
        "Xen.HiddenDevices",
        "IDE,SCSI",
    ),
    "no installing of drivers": (
        "Server",
        (f"{SERVICES}\\DeviceInstall\\Parameters", {"DeviceInstallDisabled": 1}),
        "warning",
        "Server.DeviceInstallDisabled",
        "DeviceInstall\\Parameters: DeviceInstallDisabled = 1",
    ),
    "no installing of drivers before 2008 R2": (
        "Server",
        (f"{SERVICES}\\PlugPlay\\Parameters", {"DeviceInstallDisabled": 1}),
        "warning",
        "Server.DeviceInstallDisabled",
        "PlugPlay",
    ),
    "remote desktop off": (
        "DesktopConfig",
        (f"{CONTROLS}\\Control\\Terminal Server", {"fDenyTSConnections": 1}),
        "warning",
        "DesktopConfig.RemoteDesktopOff",
        "fDenyTSConnections = 1",
    ),
    "remote desktop's service disabled": (
        "DesktopConfig",
        (f"{SERVICES}\\TermService", {"Start": 4}),
        "warning",
        "DesktopConfig.ServiceDisabled",
        "TermService: Start = 4",
    ),
    "the firewall's rule not active": (
        "DesktopConfig",
        (f"{FIREWALL}\\FirewallRules", {"RemoteDesktop-UserMode-In-TCP": LET_IN.replace("TRUE", "FALSE")}),
        "warning",
        "DesktopConfig.Firewall",
        "3389",
    ),
    "a rule for private networks alone": (
        "DesktopConfig",
        (f"{FIREWALL}\\FirewallRules", {"RemoteDesktop-UserMode-In-TCP": f"{LET_IN}Profile=Private|"}),
        "warning",
        "DesktopConfig.Firewall",
        "3389",
    ),
    "a rule for another port": (
        "DesktopConfig",
        (f"{CONTROLS}\\Control\\Terminal Server\\WinStations\\RDP-Tcp", {"PortNumber": 33890}),
        "warning",
        "DesktopConfig.Firewall",
        "33890",
    ),
    "no control set": ("Registry", (CONTROLS, None), "failed", "Registry.NoControlSet", "ControlSet001"),
    "Setup that will not run": ("Sysprep", ("Setup", {"SetupType": 0}), "failed", "Sysprep.Interrupted", "SetupType = 0"),
    "an update at the next start": (
        "Update",
        (f"{CONTROLS}\\Control\\Session Manager", {"SETUPEXECUTE": ["%SystemRoot%\\system32\\poqexec.exe /noreboot"]}),
        "failed",
        "Update.Unfinished",
        "SetupExecute",
    ),
    "an agent that nothing starts": (
        "CloudAssistant",
        (f"{SERVICES}\\AliyunService", {"Start": 4}),
        "warning",
        "CloudAssistant.NotEnabled",
        "",
    ),
}
IN_SOFTWARE: dict[str, tuple[str, Change, str, str, str]] = {
    "a bad cumulative update": (
        "Hotfix",
        (f"{PACKAGES}\\Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.768.1.5", {"CurrentState": 0x70}),
        "failed",
        "Hotfix.Bad",
        "20348.768.1.5: CurrentState = 0x70",
    ),
    "a bad update by number": (
        "Hotfix",
        (f"{PACKAGES}\\Package_1_for_KB5009624~31bf3856ad364e35~amd64~~6.3.1.2", {"CurrentState": 0x80}),
        "failed",
        "Hotfix.Bad",
        "KB5009624",
    ),
    "a bad update at the next start": (
        "Hotfix",
        (f"{PACKAGES}\\Package_for_KB5014738~31bf3856ad364e35~amd64~~6.3.1.2", {"CurrentState": 0x60}),
        "failed",
        "Hotfix.Bad",
        "KB5014738",
    ),
    "an old server without SHA-2": (
        "Hotfix",
        (
            "Microsoft\\Windows NT\\CurrentVersion",
            {
                "ProductName": "Windows Server 2008 R2 Enterprise",
                "CurrentBuildNumber": "7601",
                "CurrentVersion": "6.1",
                "CurrentMajorVersionNumber": None,
            },
        ),
        "failed",
        "Hotfix.Missing",
        "build 6.1.7601",
    ),
    "Sysprep cut short": (
        "Sysprep",
        (f"{CURRENT}\\Setup\\State", {"ImageState": "IMAGE_STATE_UNDEPLOYABLE"}),
        "failed",
        "Sysprep.Interrupted",
        "IMAGE_STATE_UNDEPLOYABLE",
    ),
    "generalized for audit": (
        "Sysprep",
        (f"{CURRENT}\\Setup\\State", {"ImageState": "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"}),
        "warning",
        "Sysprep.Audit",
        "AUDIT",
    ),
    "no state": ("Sysprep", (f"{CURRENT}\\Setup\\State", {"ImageState": None}), "unsupported", "Sysprep.NotReadable", ""),
    "packages that wait": ("Update", (f"{SERVICING}\\PackagesPending", {}), "failed", "Update.Unfinished", "PackagesPending"),
    "a package that waits": (
        "Update",
        (f"{PACKAGES}\\Some-Feature~31bf3856ad364e35~amd64~~10.0.20348.1", {"CurrentState": 0x60}),
        "failed",
        "Update.Unfinished",
        "Some-Feature~31bf3856ad364e35~amd64~~10.0.20348.1: CurrentState = 0x60",
    ),
    "a session that waits": (
        "Update",
        (f"{SERVICING}\\SessionsPending", {"Exclusive": 3}),
        "failed",
        "Update.Unfinished",
        "SessionsPending: Exclusive",
    ),
    "a restart that is asked for": (
        "Update",
        (f"{CURRENT}\\WindowsUpdate\\Auto Update\\RebootRequired", {}),
        "failed",
        "Update.Unfinished",
        "RebootRequired",
    ),
    "no packages": ("Hotfix", (PACKAGES, None), "unsupported", "Hotfix.NotReadable", ""),
    "no packages to wait": ("Update", (PACKAGES, None), "unsupported", "Update.NotReadable", ""),
    "no version": (
        "Platform",
        ("Microsoft\\Windows NT\\CurrentVersion", {"ProductName": None}),
        "unsupported",
        "Platform.Unknown",
        "",
    ),
    "the password of automatic logon": (
        "Secrets",
        ("Microsoft\\Windows NT\\CurrentVersion\\Winlogon", {"DefaultPassword": "Sup3rGeheim"}),
        "failed",
        "Secrets.Credentials",
        "Winlogon: DefaultPassword = Su… (11 characters)",
    ),
}


def check(found: Item, level: str, code: str, where: str, hive_path: str) -> None:
    assert (found.level, found.code) == (level, code), found
    assert found.advice
    if where:
        texts = [str(one.text) for one in found.evidence]
        assert any(where in text for text in texts), texts
        assert all(one.path in {hive_path, None} for one in found.evidence if where in str(one.text))


@pytest.mark.parametrize(("name", "change", "level", "code", "where"), IN_SYSTEM.values(), ids=IN_SYSTEM.keys())
def test_in_system(name: str, change: Change, level: str, code: str, where: str) -> None:
    found = judged(name, with_hive("SYSTEM", changed(SYSTEM, change)))
    check(found, level, code, where, f"{CONFIG}/SYSTEM")


@pytest.mark.parametrize(("name", "change", "level", "code", "where"), IN_SOFTWARE.values(), ids=IN_SOFTWARE.keys())
def test_in_software(name: str, change: Change, level: str, code: str, where: str) -> None:
    # A cumulative update holds what is missing.
    own = changed(SOFTWARE, (f"{PACKAGES}\\{ROLLUP}", None)) if code == "Hotfix.Missing" else SOFTWARE
    found = judged(name, with_hive("SOFTWARE", changed(own, change)))
    check(found, level, code, where, f"{CONFIG}/SOFTWARE")


FINE: dict[str, tuple[str, str, Change]] = {
    "Windows' own filter": ("Disk", "SYSTEM", (DISK_CLASS, {"UpperFilters": ["PartMgr"]})),
    "a filter in the folder of drivers": ("Disk", "SYSTEM", (DISK_CLASS, {"UpperFilters": ["viostor"]})),
    "no filters at all": ("Disk", "SYSTEM", (DISK_CLASS, {"UpperFilters": None})),
    "an empty list of Xen's": ("Xen", "SYSTEM", (f"{SERVICES}\\XenPCI\\Parameters", {"hide_devices": []})),
    "drivers not disabled": ("Server", "SYSTEM", (f"{SERVICES}\\DeviceInstall\\Parameters", {"DeviceInstallDisabled": 0})),
    "a rule for a range of ports": (
        "DesktopConfig",
        "SYSTEM",
        (f"{FIREWALL}\\FirewallRules", {"RemoteDesktop-UserMode-In-TCP": LET_IN.replace("3389", "3380-3390")}),
    ),
    "a superseded bad update": (
        "Hotfix",
        "SOFTWARE",
        (f"{PACKAGES}\\Package_for_KB5014678~31bf3856ad364e35~amd64~~20348.768.1.5", {"CurrentState": 0x50}),
    ),
    "a staged bad update": (
        "Hotfix",
        "SOFTWARE",
        (f"{PACKAGES}\\Package_for_KB5014678~31bf3856ad364e35~amd64~~20348.768.1.5", {"CurrentState": 0x40}),
    ),
}


@pytest.mark.parametrize(("name", "where", "change"), FINE.values(), ids=FINE.keys())
def test_what_is_no_trouble(name: str, where: str, change: Change) -> None:
    keys = SYSTEM if where == "SYSTEM" else SOFTWARE
    assert judged(name, with_hive(where, changed(keys, change))).level == "ok"


def test_a_filter_whose_file_its_service_names_elsewhere() -> None:
    named = changed(SYSTEM, (DISK_CLASS, {"UpperFilters": ["partmgr", "flt"]}))
    assert judged("Disk", with_hive("SYSTEM", named)).level == "failed"
    path = "\\??\\C:\\Windows\\System32\\svchost.exe"
    there = changed(named, (f"{SERVICES}\\flt", {"ImagePath": path}))
    assert judged("Disk", with_hive("SYSTEM", there)).level == "ok"


def test_without_the_firewall_nothing_is_let_in() -> None:
    off = changed(
        SYSTEM,
        (f"{FIREWALL}\\FirewallRules", None),
        (f"{FIREWALL}\\PublicProfile", {"EnableFirewall": 0}),
        (f"{FIREWALL}\\StandardProfile", {"EnableFirewall": 0}),
    )
    assert judged("DesktopConfig", with_hive("SYSTEM", off)).level == "ok"


def used(status: Mapping[str, Data | None], setup: Mapping[str, Data | None] | None = None) -> Facts:
    """Return a Windows on which Sysprep did not run, or not to its end."""
    state = {"ImageState": "IMAGE_STATE_COMPLETE"}
    system = changed(
        SYSTEM,
        ("Setup", {"SetupType": 0, "SystemSetupInProgress": 0, **(setup or {})}),
        ("Setup\\Status\\SysprepStatus", {"CleanupState": None, "GeneralizationState": None, **status}),
    )
    software = changed(SOFTWARE, (f"{CURRENT}\\Setup\\State", state))
    return windows({f"{CONFIG}/SYSTEM": hive(system), f"{CONFIG}/SOFTWARE": hive(software)})


USED: dict[str, tuple[Facts, str, str]] = {
    "never run": (used({"GeneralizationState": 7}), "warning", "Sysprep.NotGeneralized"),
    "run before": (used({"GeneralizationState": 7, "CleanupState": 2}), "warning", "Sysprep.NotGeneralized"),
    "no marks": (used({}), "warning", "Sysprep.NotGeneralized"),
    "stopped while generalizing": (used({"GeneralizationState": 3, "CleanupState": 2}), "failed", "Sysprep.Interrupted"),
    "stopped while cleaning up": (used({"GeneralizationState": 7, "CleanupState": 1}), "failed", "Sysprep.Interrupted"),
    "Setup stopped": (used({"GeneralizationState": 7}, {"SystemSetupInProgress": 1}), "failed", "Sysprep.Interrupted"),
}


@pytest.mark.parametrize(("facts", "level", "code"), USED.values(), ids=USED.keys())
def test_sysprep_on_a_system_in_use(facts: Facts, level: str, code: str) -> None:
    found = judged("Sysprep", facts)
    assert (found.level, found.code) == (level, code)
    assert found.evidence[-1].text


def test_the_control_set_is_the_one_that_select_names() -> None:
    good = {path.replace(CONTROLS, "ControlSet002"): values for path, values in SYSTEM.items()}
    both = changed({**SYSTEM, **good}, (f"{SERVICES}\\viostor", None), ("Select", {"Current": 2}))
    assert judged("Virtio", with_hive("SYSTEM", both)).level == "ok"
    assert judged("Virtio", with_hive("SYSTEM", changed(both, ("Select", {"Current": 1})))).code == "Virtio.NoDriver"


def test_control_characters_of_a_hive_are_shown_as_escapes() -> None:
    keys: Keys = changed(SYSTEM, (DISK_CLASS, {"UpperFilters": ["\x1b[2J<script>\r\n"]}))
    found: dict[str, Any] = judged("Disk", with_hive("SYSTEM", keys)).as_document()
    assert "\x1b" not in str(found["value"] + [found["evidence"][0]["text"]])
    assert "\\x1b[2J<script>\\r\\n" in found["value"][0]
