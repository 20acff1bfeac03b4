"""Claims: lenient in spelling, strict in contradiction; what is not claimed or not told contradicts nothing."""

import json
import struct
import time

import pytest

from tests.inspector.memory import facts_of

from claimed import Claimed, claimed  # isort: skip
from findings import Item, Unreadable  # isort: skip
from items import security_claims  # isort: skip
from security.claims import NameClaims, claims_of_name  # isort: skip


def judged(
    said: Claimed, *, os_id: str = "ubuntu", version: str = "22.04", kernel: str = "5.15.0-91-generic", machine: int = 62
) -> Item:
    shell = bytearray(64)
    shell[:6] = b"\x7fELF\x02\x01"
    shell[18:20] = struct.pack("<H", machine)
    facts = facts_of(
        {
            "etc/os-release": f'NAME=x\nID="{os_id}"\nVERSION_ID="{version}"\n',
            "usr/bin/bash": bytes(shell),
            f"boot/vmlinuz-{kernel}": "",
        }
    )
    facts.claimed = said
    return security_claims.judge(facts)


SHAPED = {
    "ubuntu20.04_kernel4.18_x86_64_20230101_v1.0": NameClaims("ubuntu", "20.04", "4.18", "x86_64"),
    "ubuntu20.04_kernel4.18_x86_64_20230101": NameClaims("ubuntu", "20.04", "4.18", "x86_64"),
    "Debian12_Kernel6.1.0-18-amd64_AMD64_20240101_v2": NameClaims("debian", "12", "6.1.0-18-amd64", "x86_64"),
    "rocky-linux-9.3_kernel5.14.0-362.8.1.el9_3.x86_64_aarch64_20240101": NameClaims(
        "rockylinux", "9.3", "5.14.0-362.8.1.el9_3.x86_64", "arm64"
    ),
    "sles15sp5_kernel5.14_arm64_20240101": NameClaims("sles", "15", "5.14", "arm64"),
    "myos1_kernel6_x86_64_20240101": NameClaims("myos", "1", "6", "x86_64"),
    "arch_kernel6.9_x86_64_20240601": NameClaims("arch", None, "6.9", "x86_64"),
    "my-web-server": NameClaims(),
    "ubuntu-tools": NameClaims(),
    "ubuntu-22.04-web": NameClaims("ubuntu", "22.04"),
    "centos7": NameClaims("centos", "7"),
    "web-on-ubuntu-22.04": NameClaims(),
    "web1.2-arm64": NameClaims(None, None, None, "arm64"),
    "from-x86_64-to-arm64": NameClaims(),
    "app_kernel5.10_2024": NameClaims(None, None, "5.10"),
    "kernel5.4-to-kernel5.10": NameClaims(),
    "alarm64bit": NameClaims(),
    "镜像_x86_64": NameClaims(None, None, None, "x86_64"),
}


@pytest.mark.parametrize(("name", "claims"), SHAPED.items(), ids=SHAPED.keys())
def test_what_a_name_claims(name: str, claims: NameClaims) -> None:
    assert claims_of_name(name) == claims


AGREE = [
    ({}, "ubuntu22.04_kernel5.15_x86_64_20240101_v1"),
    ({}, "Ubuntu-22.04_kernel5.15.0-91_amd64_20240101"),
    ({}, "ubuntu2204_kernel5_x64_20240101"),
    ({}, "ubuntu22_kernel5.15.0-91-generic_x86_64_20240101"),
    ({"os_id": "rhel", "version": "8.10", "kernel": "4.18.0-553.el8.x86_64"}, "redhat8_kernel4.18_x86_64_20240101"),
    ({"os_id": "centos", "version": "7", "kernel": "3.10.0-1160.el7.x86_64"}, "centos7.9_kernel3.10_x86_64_20240101"),
    ({"os_id": "centos", "version": "7", "kernel": "3.10.0-1160.el7.x86_64"}, "centos79_kernel3.10_x86_64_20240101"),
    ({"os_id": "debian", "version": "12"}, "debian12.5_kernel5.15_x86_64_20240101"),
    ({"os_id": "openEuler", "version": "22.03"}, "openEuler22.03_kernel5.15_x86_64_20240101"),
    ({"os_id": "amzn", "version": "2023"}, "al2023_kernel5.15_x86_64_20240101"),
    ({"os_id": "alinux", "version": "3"}, "alinux3.2104_kernel5.15_x86_64_20240101"),
    ({"os_id": "sles", "version": "15.5"}, "sles15sp5_kernel5.15_x86_64_20240101"),
    ({"machine": 183}, "ubuntu22.04_kernel5.15_aarch64_20240101"),
    ({"os_id": "myos", "version": "9"}, "myos9_kernel5.15_x86_64_20240101"),
    ({"os_id": "myos", "version": "9"}, "myos_kernel5.15_x86_64_20240101"),
    ({"os_id": "debian", "version": "12"}, "myos1_kernel5.15_x86_64_20240101"),
    ({}, "web-server"),
    ({"machine": 9999}, "ubuntu22.04_kernel5.15_aarch64_20240101"),
]


@pytest.mark.parametrize(("found", "name"), AGREE)
def test_a_name_that_says_what_it_is(found: dict[str, object], name: str) -> None:
    item = judged(Claimed(name), **found)  # type: ignore[arg-type]
    assert (item.level, item.value) == ("ok", "no contradiction")


CONTRADICT = [
    ({}, "ubuntu20.04_kernel5.15_x86_64_20240101", "Version"),
    ({}, "ubuntu2004_kernel5.15_x86_64_20240101", "Version"),
    ({}, "debian12_kernel5.15_x86_64_20240101", "System"),
    ({}, "windows2019_kernel5.15_x86_64_20240101", "System"),
    ({}, "ubuntu22.04_kernel5.1_x86_64_20240101", "Kernel"),
    ({}, "ubuntu22.04_kernel4.18_x86_64_20240101", "Kernel"),
    ({}, "ubuntu22.04_kernel5.15_arm64_20240101", "Architecture"),
    ({"machine": 183}, "web-x86_64", "Architecture"),
    ({}, "ubuntu-20.04-web", "Version"),
    ({}, "web_kernel6.1", "Kernel"),
    ({"os_id": "debian", "version": "12"}, "debian1_kernel5.15_x86_64_20240101", "Version"),
    ({"os_id": "rocky", "version": "9.3"}, "centos9_kernel5.15_x86_64_20240101", "System"),
]


@pytest.mark.parametrize(("found", "name", "problem"), CONTRADICT)
def test_a_name_that_says_otherwise_fails(found: dict[str, object], name: str, problem: str) -> None:
    item = judged(Claimed(name), **found)  # type: ignore[arg-type]
    assert (item.level, item.code) == ("failed", f"Claims.{problem}")
    assert item.advice
    assert name in str(item.evidence[0].text)


METADATA = [
    ({"os_type": "linux", "platform": "Ubuntu", "architecture": "x86_64"}, None),
    ({"platform": "Ubuntu 22.04 64-bit"}, None),
    ({"platform": "Others Linux"}, None),
    ({"platform": "Customized Linux"}, None),
    ({"os_type": "windows"}, "System"),
    ({"platform": "Windows Server 2019"}, "System"),
    ({"platform": "FreeBSD"}, "System"),
    ({"platform": "CentOS 7"}, "System"),
    ({"platform": "Ubuntu 20.04"}, "Version"),
    ({"architecture": "arm64"}, "Architecture"),
    ({"architecture": "i386"}, "Architecture"),
]


@pytest.mark.parametrize(("claims", "problem"), METADATA)
def test_metadata(claims: dict[str, str], problem: str | None) -> None:
    item = judged(claimed(None, json.dumps(claims)))
    assert (item.level, item.code) == (("failed", f"Claims.{problem}") if problem else ("ok", None))


BOOT = [
    ("BIOS", "BIOS", True),
    ("BIOS", "UEFI-Preferred", True),
    ("UEFI", "UEFI-Preferred", True),
    ("UEFI-Preferred", "UEFI-Preferred", True),
    ("UEFI", "BIOS", False),
    ("BIOS", "UEFI", False),
    ("UEFI-Preferred", "BIOS", False),
    ("BIOS", None, True),
]


@pytest.mark.parametrize(("said", "mode", "agrees"), BOOT)
def test_boot_mode(said: str, mode: str | None, agrees: bool) -> None:
    facts = facts_of({"etc/os-release": "ID=debian\n"})
    facts.claimed = Claimed(boot_mode=said)
    facts._known[security_claims.boot_mode] = mode
    item = security_claims.judge(facts)
    assert (item.level, item.code) == (("ok", None) if agrees else ("failed", "Claims.BootMode"))


def test_a_derivative_is_not_told_apart_from_what_it_is_like() -> None:
    facts = facts_of({"etc/os-release": "ID=myos\nID_LIKE='ubuntu debian'\nVERSION_ID=3\n"})
    facts.claimed = Claimed("ubuntu20.04_kernel5_x86_64_20240101")
    assert security_claims.judge(facts).level == "ok"
    facts.claimed = Claimed("fedora40_kernel5_x86_64_20240101")
    assert security_claims.judge(facts).code == "Claims.System"


def test_any_of_several_kernels_will_do() -> None:
    facts = facts_of({"boot/vmlinuz-5.10.0": "", "boot/vmlinuz-6.1.0": ""})
    facts.claimed = Claimed("x_kernel5.10_")
    assert security_claims.judge(facts).level == "ok"
    facts.claimed = Claimed("x_kernel5.15_")
    assert security_claims.judge(facts).code == "Claims.Kernel"


def test_nothing_claimed() -> None:
    assert (judged(Claimed()).level, judged(Claimed()).value) == ("ok", "nothing claimed")


@pytest.mark.parametrize(
    "name", ["a" * 5000, "a-" * 2000, "ubuntu" + "1." * 2000, "_kernel" * 800, "\x1b[31m", "1_kernel" + "1_" * 2000]
)
def test_hostile_names_end(name: str) -> None:
    began = time.perf_counter()
    assert judged(claimed(name, None)).level in {"ok", "failed"}
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("claims", ["{", "[]", "1", '{"os_type": ' + "[" * 2000, "x" * 5000])
def test_claims_that_make_no_sense_are_refused(claims: str) -> None:
    with pytest.raises(Unreadable):
        claimed(None, claims)
    assert claimed(None, '{"os_type": 7, "platform": null, "boot_mode": "BIOS"}') == Claimed(boot_mode="BIOS")
