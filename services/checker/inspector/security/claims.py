# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a name claims, and whether a claim and a finding contradict each other: lenient in spelling, strict in contradiction.

A name of the recommended shape, `<os><version>_kernel<version>_<arch>_<YYYYMMDD>[_v<version>]`, claims its parts. Any other
name claims only what is clear in it: the architecture, where all words for one agree; a word `kernel<version>`; and the system,
where the name begins with a known one that its version follows at once.
"""

import re
from dataclasses import dataclass

_ARCHITECTURES = {
    "x86_64": "x86_64",
    "x86-64": "x86_64",
    "amd64": "x86_64",
    "x64": "x86_64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "i386",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "x86": "i386",
    "x86_32": "i386",
}
_SYSTEMS: dict[str, frozenset[str]] = {
    name: frozenset(ids.split())
    for names, ids in (
        ("ubuntu", "ubuntu"),
        ("debian", "debian"),
        ("centos centosstream centoslinux", "centos"),
        ("rhel redhat redhatenterpriselinux redhatenterprise", "rhel"),
        ("rocky rockylinux", "rocky"),
        ("alma almalinux", "almalinux"),
        ("fedora fedoralinux", "fedora"),
        ("suse sles suselinux suselinuxenterprise suselinuxenterpriseserver", "sles sles_sap sled suse"),
        ("opensuse opensuseleap leap", "opensuse-leap opensuse opensuse-tumbleweed"),
        ("tumbleweed opensusetumbleweed", "opensuse-tumbleweed"),
        ("arch archlinux", "arch"),
        ("alpine alpinelinux", "alpine"),
        ("amazon amazonlinux amzn al", "amzn"),
        ("alinux aliyun aliyunlinux alibabacloudlinux alibabalinux alibaba", "alinux"),
        ("anolis anolisos", "anolis"),
        ("openeuler", "openeuler"),
        ("euleros", "euleros"),
        ("oracle oraclelinux ol", "ol"),
        ("kali kalilinux", "kali"),
        ("gentoo", "gentoo"),
        ("freebsd", "freebsd"),
        ("windows win windowsserver winserver", "windows"),
    )
    for name in names.split()
}
_ARCH = "|".join(map(re.escape, sorted(_ARCHITECTURES, key=len, reverse=True)))
_SHAPE = re.compile(
    r"([a-z][a-z .:-]{0,40}?)(?:[ .:_-]?v?([0-9][0-9.]{0,20})[a-z0-9.-]{0,16})?_kernel[ .:-]?([0-9][0-9a-z.+_-]{0,64}?)"
    rf"_({_ARCH})_[0-9]{{8}}(?:_v?[0-9a-z.-]{{1,40}})?"
)
_ARCH_WORD = re.compile(rf"(?<![a-z0-9])({_ARCH})(?![a-z0-9])")
_KERNEL_WORD = re.compile(r"(?<![a-z0-9])kernel[ .:_-]?([0-9]{1,3}\.[0-9][0-9.]{0,20})")
_SYSTEM_START = re.compile(r"([a-z][a-z -]{0,40}?)[ .:_-]?v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})(?![0-9])")
_PLATFORM = re.compile(r"([a-z][a-z ./_-]{0,60}?)(?:\s.*)?$")
_PLATFORM_AND_VERSION = re.compile(r"([a-z][a-z ./_-]{0,60}?)[ ._-]?(?P<version>[0-9]{1,4}(?:\.[0-9]{1,4}){0,3})(?:\s.*)?$")
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_BOOTS_BY = {"BIOS": {"BIOS"}, "UEFI": {"UEFI"}, "UEFI-PREFERRED": {"BIOS", "UEFI"}}


@dataclass(frozen=True, slots=True)
class NameClaims:
    """What a name claims; None where it says nothing of it."""

    system: str | None = None
    version: str | None = None
    kernel: str | None = None
    architecture: str | None = None


def claims_of_name(name: str) -> NameClaims:
    """Return what the name claims."""
    text = name.casefold()
    shaped = _SHAPE.fullmatch(text)
    if shaped is not None:
        return NameClaims(_plain(shaped[1]), _trimmed(shaped[2]), _trimmed(shaped[3]), _ARCHITECTURES[shaped[4]])
    architectures = {_ARCHITECTURES[found] for found in _ARCH_WORD.findall(text)}
    kernels = {found.rstrip(".") for found in _KERNEL_WORD.findall(text)}
    start = _SYSTEM_START.match(text)
    known = start is not None and _plain(start[1]) in _SYSTEMS
    return NameClaims(
        _plain(start[1]) if start is not None and known else None,
        start[2] if start is not None and known else None,
        kernels.pop() if len(kernels) == 1 else None,
        architectures.pop() if len(architectures) == 1 else None,
    )


def claims_of_platform(platform: str) -> NameClaims:
    """Return what a platform such as `Ubuntu`, `Debian 12` or `Windows Server 2019` claims; `Others Linux` claims nothing."""
    text = platform.casefold().strip()
    # With a version what is before it is the system, however many words; without one the first word is.
    for pattern in (_PLATFORM_AND_VERSION, _PLATFORM):
        found = pattern.match(text)
        system = _plain(found[1]) if found is not None else None
        if found is not None and system in _SYSTEMS:
            return NameClaims(system, found.groupdict().get("version"))
    return NameClaims()


def is_windows(system: str) -> bool:
    """Whether the system claimed is Windows."""
    return _SYSTEMS.get(system) == frozenset({"windows"})


def is_system(system: str, os_id: str, os_like: str) -> bool | None:
    """Whether `system` can be what os-release calls `os_id`; None where that cannot be told: one of them is not known."""
    ids, os_id = _SYSTEMS.get(system), os_id.casefold()
    if ids is None:
        return True if _plain(os_id) == system else None
    if os_id in ids:
        return True
    if any(os_id in known for known in _SYSTEMS.values()):
        return False
    # One's own name for a derivative of a known system.
    return None if ids.intersection(os_like.split()) else False


def is_version(claimed: str, found: str) -> bool:
    """Whether one version is the other's beginning, part by part; without dots too: 2004 is 20.04, 79 may be 7."""
    ours, theirs = _parts(claimed), _parts(found)
    shorter = min(len(ours), len(theirs))
    if ours[:shorter] == theirs[:shorter]:
        return True
    if len(ours) == 1 and theirs and len(ours[0]) > len(theirs[0]):
        joined = _SEPARATORS.sub("", found.casefold())
        return joined.startswith(ours[0]) or ours[0].startswith(joined)
    return False


def architecture_of(text: str) -> str | None:
    """Return the architecture that a word means; None for words that are not known."""
    return _ARCHITECTURES.get(text.casefold())


def boots_as(claimed: str, found: str) -> bool:
    """Whether an image that boots as `found` boots in every way that is claimed."""
    return _BOOTS_BY.get(claimed.upper(), set()) <= _BOOTS_BY.get(found.upper(), set())


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", text.casefold())


def _trimmed(text: str | None) -> str | None:
    return text.strip("._-+") or None if text else None


def _parts(version: str) -> list[str]:
    return [part.lstrip("0") or "0" for part in re.split(r"[^a-z0-9]+", version.casefold()) if part]
