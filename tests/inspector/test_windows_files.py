"""The Windows items on files: what is missing, lies elsewhere, or is no hive; and another cloud's agent."""

from collections.abc import Iterator

import pytest

from linux import agents
from tests.inspector.windows_registry import PACKAGES, SERVICES, SOFTWARE, SYSTEM, changed, hive
from tests.inspector.windows_roots import CONFIG, OURS, PROGRAM, Files, judged, windows

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


def test_a_cumulative_update_is_named_by_its_manifest() -> None:
    name = "Package_for_RollupFix~31bf3856ad364e35~amd64~~9600.20246.1.4"
    manifest = b'<?xml version="1.0"?><assembly><package identifier="KB5009624" releaseType="Security Update">'
    keys = changed(SOFTWARE, (f"{PACKAGES}\\{name}", {"CurrentState": 0x70}))
    files = {f"{CONFIG}/SOFTWARE": hive(keys), f"/Windows/servicing/Packages/{name}.mum": manifest}
    assert judged("Hotfix", windows(files)).value == ("KB5009624",)


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
