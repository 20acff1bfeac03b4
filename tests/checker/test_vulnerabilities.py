"""SECURITY.Vulnerabilities: which package is affected by what, how that is counted, told and mended."""

import functools
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.checker.domain.advisories import (
    Advisory,
    Boundary,
    Interval,
    affecting,
    intervals_of,
    names_of,
    severity_of_word,
    source_package,
)
from services.checker.domain.releases import release_of_ecosystem, release_of_image, release_of_suite
from services.checker.domain.versions import NotComparable, Scheme, check, older
from services.checker.domain.vulnerabilities import judge, match
from shared.contracts.gate import VULNERABILITIES
from shared.contracts.report import Item, Package, PackageList
from tests.checker.databases import packages

DEBIAN = "debian:12"


@dataclass
class Known:
    """A database in memory."""

    known: tuple[Advisory, ...] = ()
    exploits: frozenset[str] = frozenset()

    def covers(self, release: str) -> bool:
        return any(one.release == release for one in self.known)

    def advisories(self, release: str, packages: Collection[str]) -> Iterator[Advisory]:
        return (one for one in self.known if one.release == release and one.package in packages)

    def exploited(self, names: Collection[str]) -> frozenset[str]:
        return self.exploits & {*names}


def advisory(
    package: str, fixed: str | None, name: str = "CVE-2026-1001", severity: str | None = None, **more: object
) -> Advisory:
    values = {"release": DEBIAN, "intervals": (Interval(fixed=fixed),), "severity": severity, **more}
    return Advisory(id=name, package=package, names=(name,), **values)  # type: ignore[arg-type]


def judged(*known: Advisory, installed: tuple[str | Package, ...] = ("libssl3 3.0.11 openssl",), **more: object) -> Item:
    return judge([packages(*installed, **more)], [Known(known)])


LEVELS = [
    ([advisory("openssl", "3.0.17", severity="high")], "failed", "Severe", {"fixed_high": 1}),
    ([advisory("openssl", "3.0.17", severity="critical")], "failed", "Severe", {"fixed_critical": 1}),
    ([advisory("openssl", "3.0.17", severity="medium")], "warning", "Known", {"fixed_medium": 1}),
    ([advisory("openssl", "3.0.17")], "warning", "Known", {"fixed_unrated": 1}),
    ([advisory("openssl", None, severity="critical")], "warning", "Known", {"unfixed_critical": 1}),
    ([advisory("openssl", "3.0.11")], "ok", None, {}),
    ([advisory("openssl", "3.0.11~rc1", severity="high")], "ok", None, {}),
    ([advisory("libssl3", "9", severity="high")], "ok", None, {}),
    ([advisory("openssl", "9", severity="high", release="debian:11"), advisory("x", "1")], "ok", None, {}),
    # One vulnerability of two databases: the worst rating, and the fix that either knows.
    ([advisory("openssl", None, severity="high"), advisory("openssl", "3.0.17")], "failed", "Severe", {"fixed_high": 1}),
    ([advisory("openssl", None, "CVE-2026-1"), advisory("openssl", "4", "CVE-2026-2")], "warning", "Known",
     {"unfixed_unrated": 1, "fixed_unrated": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("known", "level", "problem", "counts"), LEVELS)
def test_level_and_counts(known: list[Advisory], level: str, problem: str | None, counts: dict[str, int]) -> None:
    item = judged(*known)
    assert (item.name, item.level) == (VULNERABILITIES, level)
    assert item.code == (problem and f"Vulnerabilities.{problem}")
    assert item.vulnerabilities is not None
    assert {name: number for name, number in item.vulnerabilities.model_dump().items() if number} == counts
    assert bool(item.evidence) == bool(item.advice) == (level != "ok")


def test_what_is_exploited_fails_whatever_it_is_rated() -> None:
    known = [Known((advisory("openssl", None, severity="low"),)), Known(exploits=frozenset({"CVE-2026-1001", "CVE-1"}))]
    item = judge([packages("openssl 3.0.11")], known)
    assert (item.level, item.code, item.value) == (
        "failed",
        "Vulnerabilities.KnownExploited",
        "1 known to be exploited; 1 low without a fix",
    )
    assert item.evidence[0].text == "openssl 3.0.11 (CVE-2026-1001, low, known to be exploited, no fix yet)"


def test_the_worst_comes_first_and_each_source_once() -> None:
    names = [advisory(f"p{number:02}", "2", f"CVE-2026-{number:04}", "low") for number in range(30)]
    worst = advisory("p29", "3", "CVE-2026-9999", "critical")
    installed = [f"lib{number:02} 1 p{number:02}" for number in range(30)] + ["bin29 1 p29"]
    item = judged(*names, worst, installed=tuple(installed))
    assert len(item.evidence) == 16
    assert item.evidence[0].text == "p29 1 < 3 (CVE-2026-9999, CVE-2026-0029, critical)"
    assert item.advice is not None
    assert "apt-get full-upgrade" in item.advice
    assert item.value == "1 critical, 30 low with a fix released"
    assert judged(*names, worst, installed=tuple(reversed(installed))) == item


SOURCES = [
    # The kernel's binary packages carry its ABI, a signed one is repackaged; what has only headers in it does not run.
    ("linux-image-6.1.0-18-amd64 6.1.76-1 linux-signed-amd64 6.1.76+1", "linux", "6.1.77-1", True),
    ("linux-image-6.1.0-18-amd64 6.1.76-1 linux-signed-amd64 6.1.76+1", "linux", "6.1.76-1", False),
    ("linux-image-6.1.0-18-cloud-amd64-unsigned 6.1.76-1 linux", "linux", "6.1.77-1", True),
    ("linux-libc-dev 6.1.76-1 linux", "linux", "6.1.77-1", False),
    ("linux-headers-6.1.0-18-common 6.1.76-1 linux", "linux", "6.1.77-1", False),
    ("linux-base 4.9", "linux-base", "5", True),
    ("libc6 2.36-9+deb12u4 glibc", "glibc", "2.36-9+deb12u7", True),
    ("libc6 2.36-9+deb12u4 glibc", "glibc", "2.36-9+deb12u4~1", False),
    ("gcc-12-base 12.2.0-14 gcc-12", "gcc-12", "1:1", True),
    ("libgcc-s1 12.2.0-14 gcc-12 11", "gcc-12", "12", True),
]


@pytest.mark.parametrize(("package", "source", "fixed", "affected"), SOURCES)
def test_packages_are_matched_by_source(package: str, source: str, fixed: str, affected: bool) -> None:
    assert (judged(advisory(source, fixed), installed=(package,)).level == "warning") == affected


RPM = [
    # Databases name source or binary packages; a source's name leaves the epoch out, which not every binary one has.
    (("openssl-libs 1:3.0.7-6.el9 openssl 3.0.7-6.el9",), "openssl", "1:3.0.7-18.el9_2", True),
    (("openssl-libs 1:3.0.7-18.el9_2 openssl 3.0.7-18.el9_2",), "openssl", "1:3.0.7-18.el9_2", False),
    (("openssl-libs 1:3.0.7-6.el9 openssl 3.0.7-6.el9",), "openssl-libs", "1:3.0.7-18.el9_2", True),
    (("perl-libs 4:5.32.1-481.el9 perl 5.32.1-481.el9", "perl-Errno 1.30-481.el9 perl 5.32.1-481.el9"), "perl",
     "4:5.32.1-481.el9", False),
    (("perl-Errno 1.30-481.el9 perl 5.32.1-481.el9",), "perl-Errno", "1.30-482.el9", True),
    (("kernel-core 5.14.0-611.el9 kernel 5.14.0-611.el9",), "kernel", "5.14.0-611.5.1.el9_7", True),
    (("kernel-headers 5.14.0-611.el9 kernel 5.14.0-611.el9",), "kernel-headers", "5.14.0-611.5.1.el9_7", False),
    # Streams of a module: another one's fix is none for what is installed.
    (("nodejs 1:18.20.4-1.module_el9+1 nodejs 18.20.4-1.module_el9+1",), "nodejs", "1:20.1.0-1.module_el9+2", False),
    (("nodejs 1:18.20.4-1.module_el9+1 nodejs 18.20.4-1.module_el9+1",), "nodejs", "1:18.20.6-1.module_el9+2", True),
    (("nodejs 1:16.20.2-1.el9 nodejs 16.20.2-1.el9",), "nodejs", "1:18.20.6-1.module_el9+2", False),
    (("nodejs 1:16.20.2-1.el9 nodejs 16.20.2-1.el9",), "nodejs", "1:16.20.2-4.el9", True),
]  # fmt: skip


@pytest.mark.parametrize(("installed", "package", "fixed", "affected"), RPM)
def test_rpm(installed: tuple[str, ...], package: str, fixed: str, affected: bool) -> None:
    known = advisory(package, fixed, severity="high", release="almalinux:9")
    item = judged(known, installed=installed, kind="rpm", distro="almalinux-9.3")
    assert item.level == ("failed" if affected else "ok")


def test_several_versions_of_one_source_are_told_apart() -> None:
    item = judged(
        advisory("linux", "6.1.77-1"), installed=("linux-image-6.1.0-17 6.1.69-1 linux", "linux-image-6.1.0-18 6.1.77-1 linux")
    )
    assert [one.text for one in item.evidence] == ["linux 6.1.69-1 < 6.1.77-1 (CVE-2026-1001, unrated)"]
    assert item.advice is not None
    assert "remove the kernels that are replaced" in item.advice


UNSUPPORTED = [
    ([], [Known()], "NoPackages"),
    ([packages()], [Known()], "NoPackages"),
    ([packages("a 1")], [], "NoDatabase"),
    ([packages("a 1", distro=None)], [Known((advisory("a", "1"),))], "NoDatabase"),
    ([packages("a 1", distro="debian-11")], [Known((advisory("a", "1"),))], "NoDatabase"),
    ([packages("a 1", distro="debian")], [Known((advisory("a", "1"),))], "NoDatabase"),
    ([packages("a 1"), packages("b 1", kind="rpm", distro="rhel-9.1")], [Known((advisory("a", "1"),))], "NoDatabase"),
    ([packages("a 1", complete=False)], [Known((advisory("b", "1"),))], "Incomplete"),
    ([packages("a 1", complete=False)], [Known((advisory("a", "2"),))], "Incomplete"),
    ([packages("a \x1b[2J")], [Known((advisory("a", "2"),))], "NotComparable"),
    ([packages("a one")], [Known((advisory("a", "2"),))], "NotComparable"),
]


@pytest.mark.parametrize(("lists", "known", "problem"), UNSUPPORTED)
def test_what_cannot_be_judged_says_so(lists: list[PackageList], known: list[Known], problem: str) -> None:
    item = judge(lists, known)
    assert (item.level, item.code) == ("unsupported", f"Vulnerabilities.{problem}")
    assert item.advice
    assert "\x1b" not in item.model_dump_json()


def test_what_fails_fails_although_not_all_was_seen_and_no_policy_can_lift_it() -> None:
    for lists in ([packages("a 1", complete=False)], [packages("a 1", "c one")], [packages("a 1"), packages("b 1", distro=None)]):
        known = (advisory("a", "2", severity="high"), advisory("c", "2", "CVE-2026-3"))
        item = judge(lists, [Known(known)])
        assert (item.level, item.code, item.vulnerabilities) == ("failed", "Vulnerabilities.Severe", None)


ADVICE = [
    (("openssl 1",), "deb", "debian-12", "apt-get update && apt-get install --only-upgrade openssl;"),
    (("openssl 1",), "rpm", "rocky-9.3", "dnf upgrade openssl;"),
    (("openssl 1",), "rpm", "sles-15.5", "zypper update openssl;"),
    (("openssl 1-r0",), "apk", "alpine-3.19.1", "apk update && apk add --upgrade openssl;"),
    (("a;reboot 1 openssl",), "rpm", "rocky-9.3", "dnf upgrade;"),
    (("-y 1 openssl",), "rpm", "rocky-9.3", "dnf upgrade;"),
    (tuple(f"lib{number} 1 openssl" for number in range(13)), "deb", "debian-12", "apt-get update && apt-get full-upgrade;"),
]


@pytest.mark.parametrize(("installed", "kind", "distro", "command"), ADVICE)
def test_advice_is_a_command_that_nothing_of_the_image_can_twist(
    installed: tuple[str, ...], kind: str, distro: str, command: str
) -> None:
    release = release_of_image(packages("a 1", kind=kind, distro=distro))
    item = judged(advisory("openssl", "2", release=release), installed=installed, kind=kind, distro=distro)
    assert item.advice is not None
    assert command in item.advice


def test_evidence_shows_what_a_stranger_wrote_escaped() -> None:
    item = judged(advisory("\x1b[2Ja\nb", "2"), installed=(Package(name="x", version="1", source="\x1b[2Ja\nb"),))
    assert item.evidence[0].text == "\\u001b[2Ja\\u000ab 1 < 2 (CVE-2026-1001, unrated)"


RELEASES = [
    ("debian-12", "debian", "Debian:12", DEBIAN),
    ("debian-12.5", "debian", "Debian:12", DEBIAN),
    ("ubuntu-22.04", "ubuntu", "Ubuntu:22.04:LTS", "ubuntu:22.04"),
    ("ubuntu-23.10", "ubuntu", "Ubuntu:23.10", "ubuntu:23.10"),
    ("alpine-3.18.4", "alpine", "Alpine:v3.18", "alpine:3.18"),
    ("rocky-9.3", "rocky", "Rocky Linux:9", "rocky:9"),
    ("almalinux-8.10", "almalinux", "AlmaLinux:8", "almalinux:8"),
    ("rhel-9.4", "redhat", "Red Hat:enterprise_linux:9::baseos", "rhel:9"),
    ("redhat-8", "redhat", "Red Hat:enterprise_linux:8::appstream", "rhel:8"),
    ("sles-15.5", "suse", "SUSE:Linux Enterprise Server 15 SP5", "sles:15.5"),
    ("sles-15.5", "suse", "SUSE:Linux Enterprise Module for Basesystem 15 SP5", "sles:15.5"),
    ("opensuse-leap-15.6", "opensuse", "openSUSE:Leap 15.6", "opensuse-leap:15.6"),
    ("opensuse-tumbleweed-20260101", "opensuse", "openSUSE:Tumbleweed", "opensuse-tumbleweed"),
    ("openeuler-22.03", "openeuler", "openEuler:22.03-LTS", "openeuler:22.03"),
    ("mageia-9", "mageia", "Mageia:9", "mageia:9"),
]


@pytest.mark.parametrize(("distro", "namespace", "ecosystem", "release"), RELEASES)
def test_image_and_database_mean_the_same_release(distro: str, namespace: str, ecosystem: str, release: str) -> None:
    assert release_of_image(packages("a 1", distro=distro, namespace=namespace)) == release
    found = release_of_ecosystem(ecosystem)
    assert found is not None
    assert found[1] == release


@pytest.mark.parametrize(
    "ecosystem",
    ["npm", "PyPI", "Debian", "Ubuntu:Pro:18.04:LTS", "Red Hat:rhel_eus:9.2::appstream", "Red Hat:openshift:4",
     "SUSE:Package Hub 15", "", ":", "Debian:\x1b[2J", "Debian:bookworm"],
)  # fmt: skip
def test_what_an_ordinary_system_does_not_get_is_no_release(ecosystem: str) -> None:
    assert release_of_ecosystem(ecosystem) is None


def test_suites_and_images_without_a_release() -> None:
    assert release_of_suite("Debian", None, "bookworm-security") == DEBIAN
    assert release_of_suite("Ubuntu", "22.04", "jammy-security") == "ubuntu:22.04"
    assert release_of_suite("Debian", None, "sid") is None
    assert release_of_suite("Evil", "12", "bookworm") is None
    assert release_of_image(packages("a 1", distro="debian-trixie/sid")) is None
    assert release_of_image(packages("a 1", distro="-")) is None


def test_names_and_words() -> None:
    assert names_of("DEBIAN-TEMP-1", ("CVE-2026-2222",)) == ("CVE-2026-2222",)
    assert names_of("DEBIAN-CVE-2026-1001", ("CVE-2026-2222",)) == ("CVE-2026-1001",)
    assert names_of("DSA-1", ("CVE-2026-1001", "X", "CVE-2026-1001"), ("CVE-2026-3333",)) == ("CVE-2026-1001",)
    assert names_of("RHSA-1", (), ("CVE-2026-3333", "CVE-2026-4444")) == ("CVE-2026-3333", "CVE-2026-4444")
    assert names_of("DSA-1", (), ()) == ("DSA-1",)
    assert [severity_of_word(word) for word in ("Important", "medium**", "unimportant", "not yet assigned", None, 3)] == [
        "high",
        "medium",
        "low",
        None,
        None,
        None,
    ]
    assert [source_package(one) for one in ("linux-signed-amd64", "linux-signed-hwe-6.5", "linux-signed", "linux-base")] == [
        "linux",
        "linux-hwe-6.5",
        "linux",
        "linux-base",
    ]


ORDER: list[tuple[Scheme, list[str]]] = [
    ("deb", ["1.0~rc1-1", "1.0-1", "1.0-1+deb12u1", "1.0-1+deb12u10", "1.0a-1", "1.0+git1", "1.1", "1:0.1"]),
    ("rpm", ["1.0~rc1-1", "1.0-1", "1.0-1.1", "1.0^git1-1", "1.0.1-1", "2.5-2", "2.50.0-1", "1:0.5-1"]),
    ("apk", ["1.2_rc1-r0", "1.2-r0", "1.2-r9", "1.2-r10", "1.2_git20260101-r0", "1.2a-r0", "1.2.1-r0", "1.10-r0"]),
]


@pytest.mark.parametrize(("scheme", "versions"), ORDER)
def test_versions_are_ordered_as_the_package_manager_does(scheme: Scheme, versions: list[str]) -> None:
    for place, one in enumerate(versions):
        for other_place, other in enumerate(versions):
            assert older(scheme, one, other) == (place < other_place), (one, other)


@pytest.mark.parametrize("scheme", ["deb", "rpm", "apk"])
@pytest.mark.parametrize("text", ["", "a:1", "1 2", "1\n", "\x00", "é", "1" * 300, "x:1:2"])
def test_what_is_no_version(scheme: Scheme, text: str) -> None:
    with pytest.raises(NotComparable):
        check(scheme, text)


DEB_VERSIONS = st.from_regex(r"([0-2]:)?[0-9][0-9a.+~]{0,4}(-[0-9a+~.]{1,3})?", fullmatch=True)


@functools.cache
def dpkg_older(one: str, other: str) -> bool:
    """What dpkg itself says."""
    return subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode == 0


def test_dpkg_agrees() -> None:
    versions = ORDER[0][1]
    assert all(older("deb", one, other) == dpkg_older(one, other) for one in versions for other in versions)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["introduced", "fixed", "last_affected"]), st.integers(0, 9).map(str)),
    max_size=6,
    unique_by=lambda e: e[1],
)


@settings(max_examples=150)
@given(EVENTS, st.integers(0, 9))
def test_intervals_say_what_the_events_say(events: list[tuple[Boundary, str]], version: int) -> None:
    affected = not any(kind == "introduced" for kind, _ in events)
    for kind, at in sorted(events, key=lambda one: int(one[1])):
        if kind == "introduced" and (version >= int(at) or at == "0"):
            affected = True
        elif (kind == "fixed" and version >= int(at)) or (kind == "last_affected" and version > int(at)):
            affected = False
    known = Advisory("x", DEBIAN, "p", ("x",), intervals=intervals_of("deb", events))
    assert (affecting("deb", known, str(version)) is not None) == affected


def test_a_boundary_that_cannot_be_compared_is_none() -> None:
    assert intervals_of("deb", [("introduced", "x y"), ("fixed", "\x00")]) == (Interval(),)
    assert intervals_of("deb", []) == (Interval(),)


PACKAGES = st.lists(st.tuples(st.sampled_from("abc"), DEB_VERSIONS), max_size=6)
KNOWN = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["CVE-2026-1001", "CVE-2026-1002", "CVE-2026-1003"]), DEB_VERSIONS),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(PACKAGES, KNOWN)
def test_matching_finds_what_a_look_at_every_pair_finds(
    installed: list[tuple[str, str]], known: list[tuple[str, str, str]]
) -> None:
    expected = {
        (package, version, name)
        for package, version in installed
        for affected, name, fixed in known
        if package == affected and older("deb", version, fixed)
    }
    listed = packages(*(Package(name=f"lib{name}", version=version, source=name) for name, version in installed))
    databases = [Known((*(advisory(package, fixed, name) for package, name, fixed in known), advisory("z", "1")))]
    matches = match([listed], databases)
    assert {(one.source, one.version, name) for one in matches.affected for name in one.found} == expected
    item = judge([listed], databases)
    if installed:
        assert item.vulnerabilities is not None
        assert sum(item.vulnerabilities.model_dump().values()) == len({name for _, _, name in expected})


def test_a_list_that_wants_to_take_long_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = tuple(f"linux-image-{number} 6.1.{number}-{'1.' * 50}1 linux" for number in range(20_000))
    updates = [advisory("linux", f"6.1.{number % 97}-{'1.' * 50}2", f"CVE-2026-{number:05}") for number in range(1000)]
    began = time.perf_counter()
    item = judged(*updates, installed=kernels)
    assert (item.level, item.code) == ("unsupported", "Vulnerabilities.Incomplete")
    assert time.perf_counter() - began < 20
    monkeypatch.setattr("services.checker.domain.vulnerabilities._COMPARED_MAX", 10)
    assert judged(*updates, installed=kernels[:1]).code == "Vulnerabilities.Incomplete"
    assert judged(*updates[:10], installed=kernels[:1]).code == "Vulnerabilities.Known"


def test_207_packages_against_3000_updates_take_less_than_100_ms() -> None:
    listed = packages(*(f"lib{number} 1:{number}.2-1~deb12u{number % 4} p{number}" for number in range(207)))
    databases = [
        Known(tuple(advisory(f"p{number}", f"1:{number}.2-1~deb12u3", f"CVE-2026-{number:05}") for number in range(3000)))
    ]
    began = time.perf_counter()
    item = judge([listed], databases)
    took_s = time.perf_counter() - began
    assert item.vulnerabilities is not None
    assert item.vulnerabilities.fixed_unrated == 156
    assert took_s < 1, took_s  # 30 ms where nothing else runs
