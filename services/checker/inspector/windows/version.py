# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which Windows it is, by CurrentVersion of the hive SOFTWARE and the kernel's own header.

Sources: Microsoft, Windows release information; PE Format.
"""

import re
import struct
from dataclasses import dataclass

from facts import Facts
from findings import Evidence, Unreadable
from windows.registry import control_set, known, software

KERNEL = "/Windows/System32/ntoskrnl.exe"
_KEY = "Microsoft\\Windows NT\\CurrentVersion"
_HEAD_BYTES = 4096
_MACHINES = {0x8664: "x86_64", 0xAA64: "arm64", 0x014C: "i386"}
_PROCESSORS = {"AMD64": "x86_64", "ARM64": "arm64", "X86": "i386"}
_FIRST_BUILD_OF_11 = 22000
_PRODUCT = re.compile(r"(?:Microsoft )?Windows(?: Web)?(?: Server)?(?: (?:\d{4}(?: R2)?|\d{1,2}(?:\.\d)?|Vista|XP)(?![\w.]))?")
_SERVERS = {
    6003: "2008",
    6002: "2008",
    6001: "2008",
    7600: "2008 R2",
    7601: "2008 R2",
    9200: "2012",
    9600: "2012 R2",
    14393: "2016",
    17763: "2019",
    20348: "2022",
    26100: "2025",
}


@dataclass(frozen=True, slots=True)
class Windows:
    """A Windows: its product name, what it is called for short, `kernel` as major.minor.build.revision, its release's name.

    `release` is 21H2 and the like; `is_server` what InstallationType says, or the product's name where it says nothing.
    """

    product: str
    platform: str
    kernel: str
    build: int
    release: str
    is_server: bool
    evidence: Evidence


def windows(facts: Facts) -> Windows:
    """Probe: the version."""
    key = known(facts, software).key(_KEY)
    if key is None:
        raise Unreadable("NoVersion", f"SOFTWARE has no {_KEY}")
    values = {value.name.lower(): value for value in key.values()}
    texts = {name: (value.text or "").strip() for name, value in values.items()}
    numbers = {name: value.number for name, value in values.items()}
    build = texts.get("currentbuildnumber") or texts.get("currentbuild", "")
    product = texts.get("productname", "")
    if not build.isdecimal() or len(build) > 6 or not product:
        raise Unreadable("NoVersion", f"{_KEY} names no ProductName or no CurrentBuildNumber")
    # From Windows 10 on CurrentVersion stays 6.3, and the numbers tell.
    major, minor = numbers.get("currentmajorversionnumber"), numbers.get("currentminorversionnumber")
    version = texts.get("currentversion", "") if major is None or minor is None else f"{major}.{minor}"
    revision = numbers.get("ubr")
    kind = texts.get("installationtype", "").lower()
    if int(build) >= _FIRST_BUILD_OF_11 and kind == "client":
        # It calls itself 10 in the registry.
        product = product.replace("Windows 10", "Windows 11", 1)
    is_server = kind.startswith("server") if kind else "server" in product.lower()
    kernel = ".".join(one for one in (version, build, None if revision is None else str(revision)) if one)
    release = texts.get("displayversion") or texts.get("releaseid", "")
    told = f"ProductName = {product}, build {kernel}"
    return Windows(product, _platform(product, int(build), is_server), kernel, int(build), release, is_server, key.evidence(told))


def _platform(product: str, build: int, is_server: bool) -> str:  # noqa: FBT001 - two kinds of systems
    """Return what it is called without its edition: Windows Server 2022, Windows 11."""
    found = _PRODUCT.match(product)
    name = "Windows" if found is None else found[0].removeprefix("Microsoft ").replace(" Web Server", " Server")
    if is_server and name in {"Windows", "Windows Server"} and build in _SERVERS:
        # Hyper-V Server, and editions that leave the year out.
        return f"Windows Server {_SERVERS[build]}"
    return "Windows Server" if is_server and name == "Windows" else name


def version_of(platform: str) -> str | None:
    """Return the version in what `Windows.platform` says: 2012 R2, 11; None where it has none."""
    return platform.removeprefix("Windows").removeprefix(" Server").strip() or None


def architecture(facts: Facts) -> tuple[str, Evidence]:
    """Probe: the architecture by the kernel's header; where that is compressed, by the environment's PROCESSOR_ARCHITECTURE."""
    try:
        head = facts.files().read_head(KERNEL, _HEAD_BYTES) or b""
    except Unreadable:
        head = b""
    machine = machine_of(head)
    if machine is not None and machine in _MACHINES:
        return _MACHINES[machine], Evidence(KERNEL, text=f"machine {machine:#06x} in the header")
    key = known(facts, control_set).key("Control\\Session Manager\\Environment")
    named = None if key is None else key.text("PROCESSOR_ARCHITECTURE")
    if key is None or named is None or named.upper() not in _PROCESSORS:
        raise Unreadable("NoArchitecture", "neither the kernel's header nor PROCESSOR_ARCHITECTURE tells")
    return _PROCESSORS[named.upper()], key.evidence(f"PROCESSOR_ARCHITECTURE = {named}")


def machine_of(head: bytes) -> int | None:
    """Return the machine that a program is for, by its first bytes; None where it is no program."""
    if head[:2] != b"MZ" or len(head) < 64:
        return None
    at = struct.unpack_from("<I", head, 60)[0]
    if head[at : at + 4] != b"PE\0\0" or len(head) < at + 6:
        return None
    return int(struct.unpack_from("<H", head, at + 4)[0])
