"""One name for a release of a distribution, whether an image or a database speaks of it. Pure.

A release is written `debian:12`. Sources: os-release(5), the ecosystems of the OSV schema, Debian's code names.
"""

import re
from typing import Final

from services.checker.domain.versions import Scheme
from shared.contracts.report import PackageList

DEBIAN_CODE_NAMES: Final = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "duke": "15",
}

_SAME: Final = {
    # Names of os-release's ID that package URLs and databases know by another one.
    "redhat": "rhel",
    "rocky-linux": "rocky",
    "alma": "almalinux",
    "sles_sap": "sles",
    "sle_hpc": "sles",
    "opensuse": "opensuse-leap",
    "amazon": "amzn",
    "oracle": "ol",
}
_MAJOR_ALONE: Final = frozenset({"debian", "rhel", "rocky", "almalinux", "centos", "ol", "fedora", "mageia", "amzn"})
"""Their databases speak of a major version: a minor one is the same packages, later."""
_MAJOR_MINOR: Final = frozenset({"alpine", "ubuntu", "sles", "opensuse-leap", "openeuler", "photon", "azurelinux"})
_ROLLING: Final = frozenset({"opensuse-tumbleweed", "wolfi", "chainguard"})
_NUMBER: Final = re.compile(r"v?(\d{1,4})(?:\.(\d{1,4}))?")

_ECOSYSTEMS: Final[dict[str, tuple[Scheme, str]]] = {
    "Debian": ("deb", "debian"),
    "Ubuntu": ("deb", "ubuntu"),
    "Alpine": ("apk", "alpine"),
    "Wolfi": ("apk", "wolfi"),
    "Chainguard": ("apk", "chainguard"),
    "Rocky Linux": ("rpm", "rocky"),
    "AlmaLinux": ("rpm", "almalinux"),
    "Mageia": ("rpm", "mageia"),
    "openEuler": ("rpm", "openeuler"),
    "Photon OS": ("rpm", "photon"),
    "Azure Linux": ("rpm", "azurelinux"),
}

_SUSE: Final = (
    (re.compile(r"Leap (\d+)\.(\d+)\Z"), "opensuse-leap"),
    (re.compile(r"Linux Enterprise (?:Server|Module for [\w -]+) (\d+)(?:(?: SP|\.)(\d+))?\Z"), "sles"),
)


def release_of_image(packages: PackageList) -> str | None:
    """Return the release that a package list is of, None where the image does not say, or says it is none (Debian sid)."""
    said = packages.distro or packages.namespace
    if said is None:
        return None
    name, _, version = said.lower().rpartition("-")
    if not name or not version[:1].isdigit():
        name, version = said.lower(), ""
    return _release(_SAME.get(name, name), version)


def release_of_ecosystem(ecosystem: str) -> tuple[Scheme, str] | None:
    """Return how versions compare, and the release, of an OSV ecosystem such as `Ubuntu:22.04:LTS`; None for no distribution.

    None too for what an ordinary system does not get: `Ubuntu:Pro…`, extended and layered products of Red Hat and SUSE.
    """
    name, _, rest = ecosystem.partition(":")
    if name == "Red Hat":
        found = re.match(r"enterprise_linux:(\d{1,3})(?:$|[.:])", rest)
        return None if found is None else ("rpm", f"rhel:{found[1]}")
    if name in {"SUSE", "openSUSE"}:
        suse = _suse(rest)
        return None if suse is None else ("rpm", suse)
    if name not in _ECOSYSTEMS:
        return None
    scheme, distribution = _ECOSYSTEMS[name]
    version = rest.removesuffix(":LTS")
    release = _release(distribution, version.lower().removesuffix("-lts"))
    return None if release is None else (scheme, release)


def release_of_suite(origin: str, version: str | None, suite: str) -> str | None:
    """Return the release of a suite as its Release file names it: `Origin`, `Version`, and code name (`bookworm-security`)."""
    distribution = origin.lower()
    if distribution == "debian" and version is None:
        version = DEBIAN_CODE_NAMES.get(suite.partition("-")[0].partition("/")[0])
    return None if version is None or distribution not in {"debian", "ubuntu"} else _release(distribution, version)


def _suse(product: str) -> str | None:
    if product == "Tumbleweed":
        return "opensuse-tumbleweed"
    for pattern, distribution in _SUSE:
        found = pattern.match(product)
        if found is not None:
            return f"{distribution}:{found[1]}.{found[2] or 0}"
    return None


def _release(distribution: str, version: str) -> str | None:
    if distribution in _ROLLING:
        return distribution
    found = _NUMBER.match(version)
    if found is None:
        return None
    if distribution in _MAJOR_ALONE:
        return f"{distribution}:{found[1]}"
    if distribution in _MAJOR_MINOR:
        return f"{distribution}:{found[1]}.{found[2] or 0}"
    return f"{distribution}:{version[:32]}"
