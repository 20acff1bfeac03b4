"""Real disks, made here by Debian's own tools, judged right in both directions: clean → ok and passed, planted → found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from demo.partitions import run
from services.checker.adapters.inspector_process import InspectorLimits
from services.checker.handlers.check_file import check_file
from tests.images.conftest import COUNTED
from tests.images.machines import MACHINES, disk, places
from tests.images.plants import GRUB_ROUNDS, LAYOUT_PLANTS, Plant, plant
from tests.inspector.disks import item, report_of, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.report import Report

pytestmark = pytest.mark.timeout(1800)
checked = partial(report_of, limits=InspectorLimits(wall_clock_s=600))
"""The CPU time is the usual; a machine that others use too needs more of a clock's."""
ADVISED = {"CloudAssistant": "CloudAssistant.NotInstalled", "SecurityCenterAgent": "SecurityCenterAgent.NotInstalled"}
WITHOUT_XFSPROGS = {**ADVISED, "OnlineResizeFS": "OnlineResizeFS.NoResizer"}
WITH_HOST_KEYS = {"Secrets": "Secrets.HostKeysRenewed"}


@dataclass(frozen=True)
class Known:
    """What the build knows of a disk, and the codes of the items that only advise."""

    version: str
    boot_mode: str
    loader: str
    network: str
    advised: dict[str, str]
    flavour: str


KNOWN = {
    "hybrid": Known("Debian 13", "UEFI-Preferred", "GRUB 2", "first: dhcp (netplan)", ADVISED, "cloud-amd64"),
    "mbr-logical": Known("Debian 12", "BIOS", "GRUB 2", "ens3: dhcp (ifupdown)", ADVISED | WITH_HOST_KEYS, "amd64"),
    "uefi-xfs": Known("Debian 12", "UEFI", "GRUB 2", "ens3: dhcp (ifupdown)", WITHOUT_XFSPROGS | WITH_HOST_KEYS, "amd64"),
    "lvm": Known("Debian 13", "UEFI-Preferred", "GRUB 2", "first: dhcp (netplan)", ADVISED, "cloud-amd64"),
    "btrfs": Known("Debian 13", "UEFI-Preferred", "GRUB 2", "first: dhcp (netplan)", ADVISED, "cloud-amd64"),
    "systemd-boot": Known(
        "Debian 13", "UEFI", "systemd-boot or unified kernel images", "en*: dhcp (systemd-networkd)", ADVISED, "amd64"
    ),
    "uki": Known("Debian 13", "UEFI", "systemd-boot or unified kernel images", "en*: dhcp (systemd-networkd)", ADVISED, "amd64"),
    "extlinux": Known(
        "Debian 12", "BIOS", "SYSLINUX or EXTLINUX", "wired.nmconnection: dhcp (NetworkManager)", ADVISED, "cloud-amd64"
    ),
}


def levels(report: Report) -> dict[str, tuple[str, str | None]]:
    """Level and code of each item."""
    return {one.name.split(".")[1]: (one.level, one.code) for one in report.items}


def assert_passes(report: Report) -> None:
    """Nothing of a disk without a fault blocks; it is counted."""
    COUNTED["disks without a planted fault"] += 1
    told = verdict(report)
    COUNTED["false blocks"] += told.outcome != "passed"
    assert (told.outcome, report.error) == ("passed", None), told


_CLEAN: dict[str, Report] = {}


async def clean_report(name: str) -> Report:
    """Return what is said of a machine's disk as it was made; it is checked once."""
    if name not in _CLEAN:
        _CLEAN[name] = await checked(disk(name))
    return _CLEAN[name]


@pytest.mark.parametrize("name", MACHINES)
async def test_a_clean_disk_is_ok_and_passes(name: str) -> None:
    report, known = await clean_report(name), KNOWN[name]
    assert {short: code for short, (level, code) in levels(report).items() if level != "ok"} == known.advised
    attributes = report.attributes
    told = (attributes.platform, attributes.os_version, attributes.architecture, attributes.boot_mode)
    assert told == ("Debian", known.version, "x86_64", known.boot_mode)
    kernel = attributes.kernel_version or ""
    assert kernel[0].isdigit()
    assert kernel.endswith(known.flavour)
    assert (item(report, "Grub").value, item(report, "Dhcp").value) == (known.loader, (known.network,))
    assert str(item(report, "Virtio").value).startswith(f"('{kernel}: virtio_blk ")
    assert_passes(report)


async def planted(name: str, plants: tuple[Plant, ...], folder: Path) -> tuple[Report, str]:
    """Plant into a copy of a machine's disk and check it; the kernel's release with it."""
    source = disk(name)
    kernel = (await clean_report(name)).attributes.kernel_version or "" if any(one.esp for one in plants) else ""
    copy = plant(source, folder / "planted.raw", plants, places(name), kernel)
    try:
        return await checked(copy), kernel
    finally:
        copy.unlink()


def line_of(report: Report, one: Plant, kernel: str) -> None:
    """The fault is found where it was planted: path, and a line that holds what was planted."""
    found = item(report, one.item)
    if one.place is None:
        return
    path, beginning = one.place[0].format(kernel=kernel), one.place[1]
    places = [place for place in found.evidence if place.path == path]
    assert places, (one, [place.path for place in found.evidence])
    if beginning is not None:
        assert any(place.line and beginning.strip() in (place.text or "") for place in places), (one, found)


async def assert_found(name: str, plants: tuple[Plant, ...], folder: Path) -> None:
    report, kernel = await planted(name, plants, folder)
    assert report.error is None
    found = levels(report)
    COUNTED["plants judged"] += len(plants)
    assert {one.item: found[one.item] for one in plants} == {one.item: (one.level, one.code) for one in plants}
    for one in plants:
        line_of(report, one, kernel)
    untouched = found.keys() - {one.item for one in plants} - KNOWN[name].advised.keys() - DRAWN_ALONG
    assert {short: found[short] for short in untouched if found[short][0] != "ok"} == {}
    blocking = any(one.level == "failed" for one in plants)
    assert not blocking or verdict(report).outcome == "blocked"


DRAWN_ALONG = {
    "Claims",
    "CloudInit",
    "OnlineResizeFS",
    "Platform",
    "SupportMocInstanceTypes",
    "Vulnerabilities",
    "OSVersion",
    "Grub",
    "KernelVersion",
}
"""Items that a fault of another may rightly move; the others must stay as they were."""


@pytest.mark.parametrize("name", GRUB_ROUNDS)
async def test_what_is_planted_in_a_real_debian_is_found(name: str, tmp_path: Path) -> None:
    await assert_found("hybrid", GRUB_ROUNDS[name], tmp_path)


@pytest.mark.parametrize("name", LAYOUT_PLANTS)
async def test_what_is_planted_in_other_layouts_is_found(name: str, tmp_path: Path) -> None:
    await assert_found(name, LAYOUT_PLANTS[name], tmp_path)


CONTAINERS = {
    "qcow2": ("qcow2",), "qcow2-zlib": ("qcow2", "-c"), "qcow2-zstd": ("qcow2", "-c", "-o", "compression_type=zstd"),
    "qcow2-v2": ("qcow2", "-o", "compat=0.10"), "vmdk": ("vmdk",), "vmdk-stream": ("vmdk", "-o", "subformat=streamOptimized"),
    "vhd": ("vpc",), "vhd-fixed": ("vpc", "-o", "subformat=fixed"), "vhdx": ("vhdx",), "vdi": ("vdi",),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
async def test_a_disk_is_judged_the_same_in_every_container(name: str, tmp_path: Path) -> None:
    source, target = disk("hybrid"), tmp_path / "disk"
    kind, *options = CONTAINERS[name]
    run(["qemu-img", "convert", "-W", "-f", "raw", "-O", kind, *options, str(source), str(target)])
    report = await checked(target)
    target.unlink()
    raw = await clean_report("hybrid")
    same = [
        {one.name: (one.level, one.code, one.value) for one in each.items if "DiskFormat" not in one.name}
        for each in (report, raw)
    ]
    assert same[0] == same[1]
    found = item(report, "DiskFormat")
    assert (found.level, found.value) == ("ok", {"vpc": "vhd"}.get(kind, kind))
    assert_passes(report)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("debian13_kernel6.12_x86_64_20260101", None),
        ("ubuntu24.04_kernel6.12_x86_64_20260101", "Claims.System"),
        ("debian12_kernel6.12_x86_64_20260101", "Claims.Version"),
        ("debian13_kernel5.10_x86_64_20260101", "Claims.Kernel"),
        ("debian13_kernel6.12_arm64_20260101", "Claims.Architecture"),
    ],
)
async def test_claims_are_compared_with_a_real_disk(name: str, code: str | None) -> None:
    descriptor = os.open(disk("hybrid"), os.O_RDONLY)
    try:
        found = item(await check_file(descriptor, name=name), "Claims")
    finally:
        os.close(descriptor)
    assert (found.level, found.code) == (("failed" if code else "ok"), code)


async def test_encryption_is_found_in_a_partition(tmp_path: Path) -> None:
    """LUKS as QEMU writes it, in place of the root partition."""
    secret = ("--object", "secret,id=key,data=correct-horse-battery")
    luks, copy = tmp_path / "luks", tmp_path / "disk"
    run(["qemu-img", "create", "-q", *secret, "-f", "luks", "-o", "key-secret=key,iter-time=10", str(luks), "700M"])
    run(["cp", "--sparse=always", str(disk("hybrid")), str(copy)])
    run(
        [
            "dd",
            f"if={luks}",
            f"of={copy}",
            "bs=1M",
            f"seek={places('hybrid')['/'].offset >> 20}",
            "conv=notrunc,sparse",
            "status=none",
        ]
    )
    report = await checked(copy)
    found = item(report, "Encryption")
    assert (found.level, found.code, verdict(report).outcome) == ("failed", "Encryption.Luks", "blocked")
    assert item(report, "SystemImage").code == "SystemImage.Encrypted"


async def test_what_is_no_whole_system_disk_is_blocked(tmp_path: Path) -> None:
    empty, short, without_code = (tmp_path / name for name in ("empty", "short", "code"))
    run(["truncate", "-s", "64M", str(empty)])
    assert item(await checked(empty), "SystemImage").code == "SystemImage.NoSystem"
    run(["sh", "-c", f"head -c 499999744 {disk('hybrid')} > {short}"])
    cut = await checked(short)
    assert (item(cut, "DiskFormat").code, verdict(cut).outcome) == ("DiskFormat.Truncated", "blocked")
    overlay = tmp_path / "overlay"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk("hybrid")), "-F", "raw", str(overlay)])
    assert item(await checked(overlay), "DiskFormat").code == "DiskFormat.BackingFile"
    run(["cp", "--sparse=always", str(disk("mbr-logical")), str(without_code)])
    run(["dd", "if=/dev/zero", f"of={without_code}", "bs=440", "count=1", "conv=notrunc", "status=none"])
    assert item(await checked(without_code), "BootMode").code == "BootMode.Unknown"
