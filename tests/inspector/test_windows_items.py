"""The Windows items in both directions: a clean system is judged ok, one with a planted trouble is found out, with where."""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import (
    BOOT_DEVICE,
    CONTROLS,
    CURRENT,
    DISK_CLASS,
    FIREWALL,
    LET_IN,
    LOADER,
    MANAGER,
    MEMORY_TEST,
    PACKAGES,
    ROLLUP,
    SERVICES,
    SERVICING,
    SOFTWARE,
    SYSTEM,
    Data,
    Keys,
    bcd,
    changed,
    hive,
    on_gpt,
    on_mbr,
)
from tests.inspector.windows_roots import CONFIG, ON_GPT, ON_MBR, PROGRAM, SIGNATURE, START, Files, Ntfs, windows, with_hive

from facts import Facts  # isort: skip
from claimed import Claimed  # isort: skip
from findings import Item  # isort: skip
from items import ITEMS, judge  # isort: skip
from linux import agents  # isort: skip
from volumes.volume import Partition, Volume  # isort: skip

assert facts_of
BY_NAME = {one.NAME.partition(".")[2]: one for one in ITEMS}
OURS = sorted(name for name, one in BY_NAME.items() if "windows" in one.FAMILIES)
Change = tuple[str, Mapping[str, Data | None] | None]


def judged(name: str, facts: Facts) -> Item:
    return judge(BY_NAME[name], facts)


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


FILES: dict[str, tuple[str, Files, str, str]] = {
    **{
        f"no {name}": ("Registry", {f"{CONFIG}/{name}": None}, "failed", "Registry.Missing")
        for name in ("SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT")
    },
    "no registry hive": ("Registry", {f"{CONFIG}/SAM": b"text"}, "failed", "Registry.Damaged"),
    "a hive cut off": ("Registry", {f"{CONFIG}/SOFTWARE": hive(SOFTWARE)[:6000]}, "failed", "Registry.Damaged"),
    "a hive not closed": ("Registry", {f"{CONFIG}/SOFTWARE": hive(SOFTWARE, sequences=(9, 8))}, "failed", "Registry.Dirty"),
    "no file of the disk's driver": ("Virtio", {"/Windows/System32/drivers/viostor.sys": None}, "failed", "Virtio.NotAtBoot"),
    "no file of the network's driver": (
        "Virtio",
        {"/Windows/System32/drivers/netkvm.sys": None},
        "warning",
        "Virtio.NoNetworkDriver",
    ),
    "operations that wait": ("Update", {"/Windows/WinSxS/pending.xml": b"<x/>"}, "failed", "Update.Unfinished"),
    "no agent": (
        "CloudAssistant",
        {"/ProgramData/aliyun/assist/2.1.4.965/aliyun_assist_service.exe": None},
        "warning",
        "CloudAssistant.NotInstalled",
    ),
    "no desktop.ini": ("DesktopConfig", {"/Users/Public/Desktop/desktop.ini": None}, "warning", "DesktopConfig.NoDesktopIni"),
    "no loader": ("BCD", {"/Windows/System32/winload.efi": None}, "failed", "BCD.NoLoader"),
    "no kernel": ("BCD", {"/Windows/System32/ntoskrnl.exe": None}, "failed", "BCD.NoSystem"),
}


@pytest.mark.parametrize(("name", "files", "level", "code"), FILES.values(), ids=FILES.keys())
def test_files(name: str, files: Files, level: str, code: str) -> None:
    found = judged(name, windows(files))
    assert (found.level, found.code) == (level, code), found
    assert found.advice


@pytest.mark.parametrize("name", ["SYSTEM", "SOFTWARE"])
def test_without_a_hive_nothing_that_it_says_is_ok(name: str) -> None:
    facts = windows({f"{CONFIG}/{name}": None})
    levels = {one: judged(one, facts).level for one in OURS}
    by_hive = {
        "SYSTEM": {"Disk", "Xen", "Server", "DesktopConfig", "Virtio", "CloudAssistant", "Sysprep", "Update"},
        "SOFTWARE": {"Platform", "OSVersion", "KernelVersion", "Hotfix", "Update", "Sysprep", "Secrets"},
    }
    assert levels["Registry"] == "failed"
    assert {one for one, level in levels.items() if level == "unsupported"} == by_hive[name]


def test_the_network_driver_may_lie_in_the_store() -> None:
    folder = "/Windows/System32/DriverStore/FileRepository/netkvm.inf_amd64_0123456789abcdef"
    system = hive(changed(SYSTEM, (f"{SERVICES}\\netkvm", None)))
    found = judged("Virtio", windows({f"{CONFIG}/SYSTEM": system, f"{folder}/netkvm.sys": PROGRAM}))
    assert (found.level, found.evidence[0].path) == ("ok", folder)
    # The disk's may not: nobody can read the store before the disk is reached.
    system = hive(changed(SYSTEM, (f"{SERVICES}\\viostor", None)))
    found = judged("Virtio", windows({f"{CONFIG}/SYSTEM": system, f"{folder.replace('netkvm', 'viostor')}/viostor.sys": PROGRAM}))
    assert (found.level, found.code, found.evidence[0].text) == ("failed", "Virtio.NoDriver", "only in the driver store")


def test_the_control_set_is_the_one_that_select_names() -> None:
    good = {path.replace(CONTROLS, "ControlSet002"): values for path, values in SYSTEM.items()}
    both = changed({**SYSTEM, **good}, (f"{SERVICES}\\viostor", None), ("Select", {"Current": 2}))
    assert judged("Virtio", with_hive("SYSTEM", both)).level == "ok"
    assert judged("Virtio", with_hive("SYSTEM", changed(both, ("Select", {"Current": 1})))).code == "Virtio.NoDriver"


def test_a_cumulative_update_is_named_by_its_manifest() -> None:
    name = "Package_for_RollupFix~31bf3856ad364e35~amd64~~9600.20246.1.4"
    manifest = b'<?xml version="1.0"?><assembly><package identifier="KB5009624" releaseType="Security Update">'
    keys = changed(SOFTWARE, (f"{PACKAGES}\\{name}", {"CurrentState": 0x70}))
    files = {f"{CONFIG}/SOFTWARE": hive(keys), f"/Windows/servicing/Packages/{name}.mum": manifest}
    assert judged("Hotfix", windows(files)).value == ("KB5009624",)


def with_bcd(*changes: Change, uefi: bool = True, device: bytes | None = None) -> Facts:
    own = device or (ON_GPT if uefi else ON_MBR)
    return with_hive("BCD", changed(bcd(own, uefi=uefi), *changes), uefi=uefi)


ELEMENTS = f"Objects\\{LOADER}\\Elements"
OTHER = "{00000000-1111-4222-8333-444444444444}"
LOCATE = bytes(16) + struct.pack("<IIII", 8, 0, 60, 0) + bytes(40)
RAMDISK = bytes(16) + struct.pack("<IIII", 0, 1, 60, 0) + bytes(40)
STORES: dict[str, tuple[Callable[[], Facts], str, str | None]] = {
    "no store for UEFI": (lambda: windows(esp={"/EFI/Microsoft/Boot/BCD": None}), "failed", "BCD.Missing"),
    "no store for BIOS": (lambda: windows({"/Boot/BCD": None}, uefi=False), "failed", "BCD.Missing"),
    "no hive": (lambda: windows(esp={"/EFI/Microsoft/Boot/BCD": b"boot"}), "failed", "BCD.Damaged"),
    "an empty hive": (lambda: with_hive("BCD", {"Objects": {}}), "failed", "BCD.Damaged"),
    "another partition": (lambda: with_bcd(device=on_gpt(bytes(range(16)))), "failed", "BCD.NoSuchDevice"),
    "another disk": (lambda: with_bcd(uefi=False, device=on_mbr(START, SIGNATURE + 1)), "failed", "BCD.NoSuchDevice"),
    "another place": (lambda: with_bcd(uefi=False, device=on_mbr(START * 2, SIGNATURE)), "failed", "BCD.NoSuchDevice"),
    "the boot manager's partition, which is another": (lambda: with_bcd(device=BOOT_DEVICE), "failed", "BCD.NoLoader"),
    "the boot manager's partition": (lambda: with_bcd(uefi=False, device=BOOT_DEVICE), "ok", None),
    "looked for": (lambda: with_bcd(device=LOCATE), "ok", None),
    "a RAM disk": (lambda: with_bcd(device=RAMDISK), "unsupported", "BCD.NotJudged"),
    "a device cut off": (lambda: with_bcd(device=ON_GPT[:40]), "unsupported", "BCD.NotJudged"),
    "no entries": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\23000003", None), (f"Objects\\{MANAGER}\\Elements\\24000001", None)),
        "failed",
        "BCD.NoEntry",
    ),
    "an order without a default": (lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\23000003", None)), "ok", None),
    "a default that is not there": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\23000003", {"Element": OTHER})),
        "failed",
        "BCD.NoEntry",
    ),
    "another entry that is not there": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\24000001", {"Element": [LOADER, OTHER]})),
        "warning",
        "BCD.OtherEntry",
    ),
    "a memory test beside it": (
        lambda: with_bcd((f"Objects\\{MANAGER}\\Elements\\24000001", {"Element": [LOADER, MEMORY_TEST]})),
        "ok",
        None,
    ),
    "no path": (lambda: with_bcd((f"{ELEMENTS}\\12000002", None)), "failed", "BCD.NoEntry"),
    "another folder": (lambda: with_bcd((f"{ELEMENTS}\\22000002", {"Element": "\\Winnt"})), "failed", "BCD.NoSystem"),
    "no device of the system": (lambda: with_bcd((f"{ELEMENTS}\\21000001", None)), "failed", "BCD.NoEntry"),
}


@pytest.mark.parametrize(("facts", "level", "code"), STORES.values(), ids=STORES.keys())
def test_boot_configuration(facts: Callable[[], Facts], level: str, code: str | None) -> None:
    found = judged("BCD", facts())
    assert (found.level, found.code) == (level, code), found
    assert found.evidence
    assert level == "ok" or found.advice


def test_a_system_whose_boot_manager_has_a_partition_of_its_own() -> None:
    facts = windows({"/bootmgr": None, "/Boot/BCD": None}, uefi=False)
    assert facts.root is not None
    assert facts.disk is not None
    own = Volume(Partition(1, START * 512, START, None, f"{SIGNATURE:08x}-02"), "ntfs")
    facts.volumes.insert(0, own)
    table = struct.pack("<B3xB3xII", 0x80, 7, START, 2048) + struct.pack("<B3xB3xII", 0, 7, START // 512, 1 << 21)
    facts.disk.seek(446)
    facts.disk.write(table)
    # Empty, it is what a BIOS starts in vain.
    own.files = Ntfs({"/x": b""})
    assert [judged(name, facts).code for name in ("BCD", "BootMgr")] == ["BCD.Missing", "BootMgr.Missing"]
    own.files = Ntfs({"/bootmgr": b"\xeb", "/Boot/BCD": hive(bcd(ON_MBR, uefi=False))})
    again = replace(facts, _known={})
    assert [judged(name, again).level for name in ("BCD", "BootMgr")] == ["ok", "ok"]
    # Its own partition is not where Windows is.
    own.files = Ntfs({"/bootmgr": b"\xeb", "/Boot/BCD": hive(bcd(BOOT_DEVICE, uefi=False))})
    assert judged("BCD", replace(facts, _known={})).code == "BCD.NoLoader"


MANAGERS: dict[str, tuple[Callable[[], Facts], str, str | None]] = {
    "none for UEFI": (lambda: windows(esp={"/EFI/Microsoft/Boot/bootmgfw.efi": None}), "failed", "BootMgr.Missing"),
    "no program": (lambda: windows(esp={"/EFI/Microsoft/Boot/bootmgfw.efi": bytes(512)}), "failed", "BootMgr.Missing"),
    "no fallback": (lambda: windows(esp={"/EFI/Boot/bootx64.efi": None}), "warning", "BootMgr.NoFallback"),
    "none for BIOS": (lambda: windows({"/bootmgr": None}, uefi=False), "failed", "BootMgr.Missing"),
    "an empty one for BIOS": (lambda: windows({"/bootmgr": b""}, uefi=False), "failed", "BootMgr.Missing"),
    "in any case": (lambda: windows({"/bootmgr": None, "/BOOTMGR": b"\xeb"}, uefi=False), "ok", None),
}


@pytest.mark.parametrize(("facts", "level", "code"), MANAGERS.values(), ids=MANAGERS.keys())
def test_boot_manager(facts: Callable[[], Facts], level: str, code: str | None) -> None:
    found = judged("BootMgr", facts())
    assert (found.level, found.code) == (level, code), found


def test_a_bios_starts_what_is_active_and_has_boot_code() -> None:
    facts = windows(uefi=False)
    assert facts.disk is not None
    good = facts.disk.read()

    def with_sector(sector: bytes) -> Item:
        other = windows(uefi=False)
        assert other.disk is not None
        other.disk.seek(0)
        other.disk.write(sector)
        return judged("BootMgr", other)

    assert with_sector(good).level == "ok"
    assert with_sector(bytes(440) + good[440:]).code == "BootMgr.NoBootCode"
    assert with_sector(good[:446] + b"\0" + good[447:]).code == "BootMgr.NotActive"
    moved = bytearray(good)
    moved[454:458] = struct.pack("<I", 4711)
    assert with_sector(bytes(moved)).code == "BootMgr.NotActive"


VERSIONS: dict[str, tuple[dict[str, Data | None], str, str, str]] = {
    "2019": (
        {
            "ProductName": "Windows Server 2019 Standard",
            "CurrentBuildNumber": "17763",
            "DisplayVersion": None,
            "ReleaseId": "1809",
        },
        "Windows Server 2019",
        "Windows Server 2019 Standard 1809",
        "10.0.17763.1547",
    ),
    "2012 R2": (
        {
            "ProductName": "Windows Server 2012 R2 Datacenter",
            "CurrentBuildNumber": "9600",
            "CurrentMajorVersionNumber": None,
            "UBR": None,
            "DisplayVersion": None,
        },
        "Windows Server 2012 R2",
        "Windows Server 2012 R2 Datacenter",
        "6.3.9600",
    ),
    "2008 R2": (
        {
            "ProductName": "Windows Server 2008 R2 Enterprise",
            "CurrentBuildNumber": "7601",
            "CurrentVersion": "6.1",
            "CurrentMajorVersionNumber": None,
            "UBR": None,
            "DisplayVersion": None,
            "InstallationType": None,
        },
        "Windows Server 2008 R2",
        "Windows Server 2008 R2 Enterprise",
        "6.1.7601",
    ),
    "core": (
        {"InstallationType": "Server Core"},
        "Windows Server 2022",
        "Windows Server 2022 Datacenter 21H2",
        "10.0.20348.1547",
    ),
    "Hyper-V": (
        {"ProductName": "Hyper-V Server", "CurrentBuildNumber": "17763", "DisplayVersion": None},
        "Windows Server 2019",
        "Hyper-V Server",
        "10.0.17763.1547",
    ),
    "10": (
        {"ProductName": "Windows 10 Pro", "CurrentBuildNumber": "19045", "InstallationType": "Client", "DisplayVersion": "22H2"},
        "Windows 10",
        "Windows 10 Pro 22H2",
        "10.0.19045.1547",
    ),
    "11, which calls itself 10": (
        {"ProductName": "Windows 10 Pro", "CurrentBuildNumber": "22631", "InstallationType": "Client", "DisplayVersion": "23H2"},
        "Windows 11",
        "Windows 11 Pro 23H2",
        "10.0.22631.1547",
    ),
    "7": (
        {
            "ProductName": "Windows 7 Ultimate",
            "CurrentBuildNumber": "7601",
            "CurrentVersion": "6.1",
            "CurrentMajorVersionNumber": None,
            "UBR": None,
            "InstallationType": "Client",
            "DisplayVersion": None,
        },
        "Windows 7",
        "Windows 7 Ultimate",
        "6.1.7601",
    ),
}


@pytest.mark.parametrize(("values", "platform", "version", "kernel"), VERSIONS.values(), ids=VERSIONS.keys())
def test_versions(values: dict[str, Data | None], platform: str, version: str, kernel: str) -> None:
    facts = with_hive("SOFTWARE", changed(SOFTWARE, ("Microsoft\\Windows NT\\CurrentVersion", values)))
    assert [judged(name, facts).value for name in ("Platform", "OSVersion", "KernelVersion")] == [platform, version, kernel]


@pytest.mark.parametrize(("machine", "named"), [(0x8664, "x86_64"), (0xAA64, "arm64"), (0x14C, "i386")])
def test_architecture_by_the_kernels_header(machine: int, named: str) -> None:
    kernel = PROGRAM[:68] + struct.pack("<H", machine) + PROGRAM[70:]
    assert judged("Architecture", windows({"/Windows/System32/ntoskrnl.exe": kernel})).value == named


def test_architecture_by_the_environment() -> None:
    kernel: Files = {"/Windows/System32/ntoskrnl.exe": b"not a program"}
    assert judged("Architecture", windows(kernel)).value == "x86_64"
    system = hive(changed(SYSTEM, (f"{CONTROLS}\\Control\\Session Manager\\Environment", None)))
    assert judged("Architecture", windows({**kernel, f"{CONFIG}/SYSTEM": system})).level == "unsupported"


CLAIMS: dict[str, tuple[Claimed, str | None]] = {
    "right": (Claimed("windows2022_kernel10.0.20348_x86_64_20240101", "windows", "Windows Server 2022", "x86_64", "UEFI"), None),
    "a part of the version": (Claimed("Windows Server 2022 with SQL"), None),
    "another year": (Claimed("win2019_kernel10.0_x86_64_20240101"), "Claims.Version"),
    "another platform": (Claimed(platform="Windows Server 2016"), "Claims.Version"),
    "another kernel": (Claimed("windows2022_kernel10.0.17763_x86_64_20240101"), "Claims.Kernel"),
    "another architecture": (Claimed(architecture="arm64"), "Claims.Architecture"),
    "another system": (Claimed("ubuntu22.04_kernel5.15_x86_64_20240101"), "Claims.System"),
    "another family": (Claimed(os_type="linux"), "Claims.System"),
}


@pytest.mark.parametrize(("claimed", "code"), CLAIMS.values(), ids=CLAIMS.keys())
def test_claims(claimed: Claimed, code: str | None) -> None:
    facts = windows()
    facts.claimed = claimed
    found = judged("Claims", facts)
    assert (found.level, found.code) == (("ok", None) if code is None else ("failed", code)), found


def test_a_client_is_no_server() -> None:
    values: Mapping[str, Data | None] = {
        "ProductName": "Windows 10 Pro",
        "InstallationType": "Client",
        "CurrentBuildNumber": "19045",
    }
    facts = with_hive("SOFTWARE", changed(SOFTWARE, ("Microsoft\\Windows NT\\CurrentVersion", values)))
    facts.claimed = Claimed(platform="Windows Server 2022")
    assert judged("Claims", facts).code == "Claims.System"


KEY = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQ"
    b"\n-----END OPENSSH PRIVATE KEY-----\n"
)
PUBLIC = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBVvJf2cTgyxrpJ6uYkbHAGzx7CbGhQbiIwHY0HvU2sM vendor@build\n"
ANSWERS = """<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="oobeSystem"><component>
<UserAccounts><AdministratorPassword><Value>{}</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>
</component></settings></unattend>
"""
HIDDEN = "UAB3AG4AZQBkADEAMgAzAEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA=="
SECRETS: dict[str, tuple[str, bytes, str, str]] = {
    "an answer file": (
        "/Windows/Panther/unattend.xml",
        ANSWERS.format("Pwned123").encode(),
        "Secrets.Credentials",
        "Pw… (8 characters)",
    ),
    "an answer file in UTF-16": (
        "/Windows/System32/Sysprep/unattend.xml",
        ANSWERS.format("Pwned123").encode("utf-16"),
        "Secrets.Credentials",
        "Pw… (8 characters)",
    ),
    "a password hidden by base 64": (
        "/unattend.xml",
        ANSWERS.format(HIDDEN).encode(),
        "Secrets.Credentials",
        "Pw… (8 characters)",
    ),
    "a password of group policy": (
        "/ProgramData/Microsoft/Group Policy/History/{31B2}/Machine/Preferences/Groups/Groups.xml",
        b'<Groups><User><Properties action="U" cpassword="j1Uyj3Vx8TY9LtLZil2uAuZkFQA/4latT76ZwgdHdhw"/></User></Groups>',
        "Secrets.Credentials",
        "cpassword",
    ),
    "a private key": ("/Users/Administrator/.ssh/id_ed25519", KEY, "Secrets.PrivateKey", "OpenSSH private key"),
    "a host key": ("/ProgramData/ssh/ssh_host_ed25519_key", KEY, "Secrets.HostKeys", "host key"),
    "keys that log in": ("/ProgramData/ssh/administrators_authorized_keys", PUBLIC, "Secrets.AuthorizedKeys", "vendor@build"),
    "keys of an account": ("/Users/Administrator/.ssh/authorized_keys", PUBLIC, "Secrets.AuthorizedKeys", "vendor@build"),
    "cloud credentials": (
        "/Users/Administrator/.aws/credentials",
        b"[default]\naws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzzzzzzzzKEYa\n",
        "Secrets.Credentials",
        "aws_secret_access_key",
    ),
    "a saved session": (
        "/Users/Administrator/AppData/Roaming/FileZilla/recentservers.xml",
        b'<RecentServers><Server><Host>h</Host><Pass encoding="base64">R2VoZWltMTIz</Pass></Server></RecentServers>',
        "Secrets.Credentials",
        "Pass",
    ),
    "a history": (
        "/Users/Administrator/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt",
        b"dir\r\n",
        "Secrets.ShellHistory",
        "history",
    ),
}


@pytest.mark.parametrize(("path", "content", "code", "where"), SECRETS.values(), ids=SECRETS.keys())
def test_secrets(path: str, content: bytes, code: str, where: str) -> None:
    found = judged("Secrets", windows({path: content}))
    assert code in found.value, found
    assert found.level == ("warning" if code == "Secrets.ShellHistory" else "failed")
    assert any(str(one.path).lower() == path.lower() and where in str(one.text) for one in found.evidence), found.evidence
    assert "Pwned123" not in str(found)


NO_SECRETS: dict[str, tuple[str, bytes]] = {
    "a password that Setup deleted": ("/Windows/Panther/unattend.xml", ANSWERS.format("*SENSITIVE*DATA*DELETED*").encode()),
    "a place to fill in": ("/unattend.xml", ANSWERS.format("${password}").encode()),
    "an empty password": ("/unattend.xml", ANSWERS.format("").encode()),
    "a public key of a host": ("/ProgramData/ssh/ssh_host_ed25519_key.pub", PUBLIC),
    "a program's own cache": ("/Users/Administrator/AppData/Local/Microsoft/Edge/x.pem", KEY),
}


@pytest.mark.parametrize(("path", "content"), NO_SECRETS.values(), ids=NO_SECRETS.keys())
def test_what_is_no_secret(path: str, content: bytes) -> None:
    assert judged("Secrets", windows({path: content})).level == "ok"


@pytest.fixture
def other_agents() -> Iterator[None]:
    before = agents.load((agents.Path(agents.__file__).parent.parent / "agents.toml").read_bytes())
    text = b'[[agent]]\nfamily = "windows"\nitem = "CloudAssistant"\nname = "Own"\npaths = ["/Program Files/Own/own.exe"]'
    agents.use(agents.load(text))
    yield
    agents.use(before)


@pytest.mark.usefixtures("other_agents")
def test_another_clouds_agent() -> None:
    assert judged("CloudAssistant", windows()).code == "CloudAssistant.NotInstalled"
    found = judged("CloudAssistant", windows({"/program files/own/OWN.exe": PROGRAM}))
    assert (found.level, found.value) == ("ok", "Own")


def test_control_characters_of_a_hive_are_shown_as_escapes() -> None:
    keys: Keys = changed(SYSTEM, (DISK_CLASS, {"UpperFilters": ["\x1b[2J<script>\r\n"]}))
    found: dict[str, Any] = judged("Disk", with_hive("SYSTEM", keys)).as_document()
    assert "\x1b" not in str(found["value"] + [found["evidence"][0]["text"]])
    assert "\\x1b[2J<script>\\r\\n" in found["value"][0]
