"""Databases: each format read as its source documents it, kept whole whatever happens, told as it is."""

import gzip
import json
import lzma
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from services.checker.adapters.databases.debian_suite import find_release_file
from services.checker.adapters.databases.kinds import KINDS, Options
from services.checker.adapters.databases.manifest import FILE, DatabaseError, read_manifest
from services.checker.adapters.databases.severity import severity_of_vectors
from services.checker.adapters.databases.store import DatabaseStore, age_days
from services.checker.domain.advisories import Advisory, Interval
from services.checker.handlers.judge_vulnerabilities import judge_vulnerabilities
from tests.checker.databases import (
    CRITICAL,
    add,
    affected,
    catalogue,
    days_ago,
    entry,
    osv_store,
    packages,
    suite,
    tracker,
    zipped,
)


@pytest.fixture
def store(tmp_path: Path) -> DatabaseStore:
    return DatabaseStore(tmp_path / "databases")


def known(store: DatabaseStore, release: str = "debian:12", *names: str) -> dict[tuple[str, str], Advisory]:
    """What all databases say of these packages, by package and id."""
    with store.opened() as opened:
        return {(one.package, one.id): one for _, index in opened for one in index.advisories(release, names or ["openssl"])}


def test_osv_entries_are_indexed_by_release_and_source(tmp_path: Path) -> None:
    store = osv_store(
        tmp_path,
        entry(severity=[{"type": "CVSS_V3", "score": CRITICAL}]),
        entry("DSA-1", affected("Debian:11", "openssl", {"introduced": "0"}, {"fixed": "1"}), upstream=["CVE-2026-3333", "X"]),
        entry("ALPINE-CVE-2026-7777", affected("Alpine:v3.19", "openssl", {"introduced": "0"})),
        entry("GHSA-1", affected("npm", "left-pad", {"introduced": "0"})),
        entry("W-1", withdrawn="2026-01-01T00:00:00Z"),
    )
    (manifest,) = store.manifests("vulnerabilities")
    assert (manifest.entries, manifest.releases) == (3, ("alpine:3.19", "debian:11", "debian:12"))
    assert manifest.counts == {
        "affected packages": 3,
        "left out: withdrawn": 1,
        "left out: for no distribution that is known here": 1,
    }
    assert (manifest.date[:10], age_days(manifest)) == (days_ago(1), 1)
    one = known(store)["openssl", "DEBIAN-CVE-2026-1001"]
    assert (one.names, one.severity, one.intervals) == (("CVE-2026-1001",), "critical", (Interval(fixed="3.0.17"),))
    assert known(store, "debian:11")["openssl", "DSA-1"].names == ("CVE-2026-3333",)
    assert known(store, "alpine:3.19")["openssl", "ALPINE-CVE-2026-7777"].intervals == (Interval(),)
    assert known(store, "debian:10") == {}


CVSS4_MEDIUM = "CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"
RATED: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {}, None),
    ({"severity": [{"type": "CVSS_V3", "score": CRITICAL}]}, {}, "critical"),
    ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}, {}, "high"),
    (
        {"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}]},
        {},
        "medium",
    ),
    ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/nonsense"}, {"type": "X", "score": "?"}]}, {}, None),
    # The distribution's own word goes before a score.
    ({"severity": [{"type": "Ubuntu", "score": "low"}, {"type": "CVSS_V3", "score": CRITICAL}]}, {}, "low"),
    ({"severity": [{"type": "CVSS_V3", "score": CRITICAL}]}, {"ecosystem_specific": {"urgency": "unimportant"}}, "low"),
    ({"severity": [{"type": "CVSS_V3", "score": CRITICAL}]}, {"ecosystem_specific": {"urgency": "not yet assigned"}}, "critical"),
    ({"database_specific": {"severity": "IMPORTANT"}}, {}, "high"),
    ({"database_specific": {"severity": ["what", "ever"]}}, {"ecosystem_specific": 3}, None),
    ({"summary": "Important: openssl security update"}, {}, "high"),
    ({"summary": "An important: fix"}, {}, None),
    ({}, {"severity": [{"type": "CVSS_V3", "score": CRITICAL}]}, "critical"),
]


@pytest.mark.parametrize(("of_entry", "of_package", "severity"), RATED)
def test_severity(tmp_path: Path, of_entry: dict[str, Any], of_package: dict[str, Any], severity: str | None) -> None:
    one = affected("Debian:12", "openssl", {"introduced": "0"}, **of_package)
    assert known(osv_store(tmp_path, entry("CVE-2026-1001", one, **of_entry)))["openssl", "CVE-2026-1001"].severity == severity


def test_the_worst_vector_counts_and_hostile_ones_none() -> None:
    assert severity_of_vectors([CRITICAL, "AV:L/AC:H/Au:M/C:P/I:N/A:N"]) == "critical"
    for vector in ("CVSS:3.1/" + "AV:N/" * 100_000, "CVSS:4.0/", "AV:", "AV:N" * 80, "CVSS:3.1/AV:\x00"):
        assert severity_of_vectors([vector]) is None


EVENTS = [
    ([{"introduced": "2"}, {"last_affected": "3"}], (), "3", True),
    ([{"introduced": "2"}, {"last_affected": "3"}], (), "3.1", False),
    ([{"introduced": "2"}, {"last_affected": "3"}], (), "1", False),
    ([{"fixed": "3"}, {"introduced": "5"}, {"fixed": "7"}, {"introduced": "0"}], (), "4", False),
    ([{"fixed": "3"}, {"introduced": "5"}, {"fixed": "7"}, {"introduced": "0"}], (), "6", True),
    ([{"introduced": "0"}, {"limit": "3"}], (), "9", True),
    ([], ("4", "4.1"), "4.1", True),
    ([], ("4", "4.1"), "4.2", False),
    ([{"introduced": "0"}, {"fixed": "3"}], ("1", "2", "4", "not a version"), "4", True),
    ([{"introduced": "0"}, {"fixed": "3"}], ("1", "2", "4"), "3", False),
]


@pytest.mark.parametrize(("events", "versions", "installed", "affects"), EVENTS)
def test_ranges_and_versions(
    tmp_path: Path, events: list[dict[str, str]], versions: tuple[str, ...], installed: str, affects: bool
) -> None:
    store = osv_store(tmp_path, entry("CVE-2026-1001", affected("Debian:12", "p", *events, versions=[*versions])))
    item, _ = judge_vulnerabilities([packages(f"p {installed}")], store)
    assert item.level == ("warning" if affects else "ok")


def test_versions_that_a_range_holds_anyway_are_not_kept(tmp_path: Path) -> None:
    bounded = affected("Debian:12", "openssl", {"introduced": "0"}, {"fixed": "3"}, versions=["1", "2", "4"])
    unbounded = affected("Debian:12", "other", {"introduced": "0"}, versions=["1", "2"])
    found = known(osv_store(tmp_path, entry("CVE-2026-1001", bounded, unbounded)), "debian:12", "openssl", "other")
    assert [one.versions for one in found.values()] == [("4",), ()]


def test_ranges_of_commits_say_nothing_of_packages(tmp_path: Path) -> None:
    both = affected("Debian:12", "openssl", {"introduced": "0"}, {"fixed": "3"})
    both["ranges"].append({"type": "GIT", "repo": "x", "events": [{"introduced": "0"}, {"fixed": "c0ffee"}]})
    assert known(osv_store(tmp_path, entry("X", both)))["openssl", "X"].intervals == (Interval(fixed="3"),)


def test_a_folder_is_read_as_a_zip_is(tmp_path: Path, store: DatabaseStore) -> None:
    folder = tmp_path / "osv" / "2026"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text(json.dumps(entry()))
    (folder / "README.md").write_text("no entry")
    (folder / "link.json").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.json")
    manifest = add(store, "osv", tmp_path / "osv")
    assert (manifest.entries, manifest.source) == (1, "osv")
    assert known(store) == known(osv_store(tmp_path / "zip", entry()))
    (folder / "one.json").write_text(json.dumps(entry(summary="other")))
    assert add(store, "osv", tmp_path / "osv").digest != manifest.digest


TRACKED = [
    ({"status": "resolved", "fixed_version": "3.0.17-1", "urgency": "high"}, "high", (Interval(fixed="3.0.17-1"),)),
    ({"status": "open", "urgency": "medium**"}, "medium", (Interval(),)),
    ({"status": "open", "urgency": "not yet assigned"}, None, (Interval(),)),
    ({"status": "resolved", "fixed_version": "no version", "urgency": "low"}, "low", (Interval(),)),
    ({"status": "resolved", "fixed_version": "0", "urgency": "low"}, None, None),
    ({"status": "undetermined", "urgency": "high"}, None, None),
]


@pytest.mark.parametrize(("said", "severity", "intervals"), TRACKED)
def test_debian_tracker(
    tmp_path: Path, store: DatabaseStore, said: dict[str, Any], severity: str | None, intervals: tuple[Interval, ...] | None
) -> None:
    file = tracker(
        tmp_path / "json", openssl={"CVE-2026-1001": said}, linux={"TEMP-1": {"status": "open"}, "CVE-2026-1": {"status": "open"}}
    )
    manifest = add(store, "debian-tracker", file, date="2026-11-24")
    assert (manifest.date, manifest.releases) == ("2026-11-24", ("debian:12",))
    found = known(store)
    if intervals is None:
        assert found == {}
    else:
        one = found["openssl", "CVE-2026-1001"]
        assert (one.severity, one.intervals) == (severity, intervals)
    assert {one for _, one in known(store, "debian:12", "linux")} == {"TEMP-1", "CVE-2026-1"}


PACKAGES_INDEX = """\
Package: libssl3
Source: openssl
Version: 3.0.16-1~deb12u1
Description: a library
 of several lines
 .
 and more

Package: openssl
Version: 3.0.17-1~deb12u2

Package: libgcc-s1
Source: gcc-12 (12.2.0-14+deb12u1)
Version: 12

Package: linux-image-6.1.0-40-amd64
Source: linux-signed-amd64 (6.1.153+1)
Version: 6.1.153-1

Package: linux-libc-dev
Source: linux
Version: 6.1.150-1
"""
SOURCES_INDEX = """\
Package: openssl
Binary: libssl3,
 openssl
Version: 3.0.17-1~deb12u2
Directory: pool/updates/main/o/openssl

Package: linux-signed-amd64
Version: 6.1.153+1

Package: linux
Version: 6.1.153-1
"""
NEWEST = {"openssl": "3.0.17-1~deb12u2", "gcc-12": "12.2.0-14+deb12u1", "linux": "6.1.153-1"}


@pytest.mark.parametrize(("index", "sources"), [(PACKAGES_INDEX, NEWEST), (SOURCES_INDEX, {**NEWEST, "gcc-12": None})])
def test_a_suites_newest_versions_are_fixes(
    tmp_path: Path, store: DatabaseStore, index: str, sources: dict[str, str | None]
) -> None:
    manifest = add(store, "debian-suite", suite(tmp_path, index))
    assert (manifest.version, manifest.date[10:], manifest.releases) == ("bookworm-security", "T04:00:00Z", ("debian:12",))
    found = known(store, "debian:12", *sources, "linux-signed-amd64")
    assert {package: one.intervals[0].fixed for (package, _), one in found.items()} == {k: v for k, v in sources.items() if v}
    assert ("openssl", "bookworm-security/openssl/3.0.17-1~deb12u2") in found
    item, (used,) = judge_vulnerabilities([packages("libssl3 3.0.11-1 openssl", "zlib1g 1 zlib")], store)
    assert (item.level, item.value, used.digest) == ("warning", "1 unrated with a fix released", manifest.digest)
    assert item.evidence[0].text == ("openssl 3.0.11-1 < 3.0.17-1~deb12u2 (bookworm-security/openssl/3.0.17-1~deb12u2, unrated)")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda data: lzma.compress(data[:50]) + lzma.compress(data[50:])])
def test_an_index_may_be_packed_and_its_release_lists_it_packed_or_not(tmp_path: Path, store: DatabaseStore, pack: Any) -> None:
    plain = suite(tmp_path, PACKAGES_INDEX)
    packed = tmp_path / "Packages.packed"
    packed.write_bytes(pack(plain.read_bytes()))
    assert add(store, "debian-suite", packed).entries == 3


def test_a_release_file_is_found_as_apt_keeps_it(tmp_path: Path) -> None:
    index = tmp_path / "mirror.example_debian-security_dists_bookworm-security_main_source_Sources"
    beside = tmp_path / "mirror.example_debian-security_dists_bookworm-security_InRelease"
    assert find_release_file(index) is None
    beside.touch()
    assert find_release_file(index) == beside


def test_an_index_of_another_time_than_its_release_is_refused(tmp_path: Path, store: DatabaseStore) -> None:
    file = suite(tmp_path, PACKAGES_INDEX)
    file.write_text(SOURCES_INDEX)
    with pytest.raises(DatabaseError, match="its Release file does not list it"):
        add(store, "debian-suite", file)
    other = tmp_path / "other"
    other.mkdir()
    suite(other, SOURCES_INDEX)
    options = Options(release=other / "InRelease")
    assert store.add(KINDS["debian-suite"], file, options=options).entries == 2


def test_known_exploited_marks_what_others_find(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry(aliases=["CVE-2026-5555"]))
    before = judge_vulnerabilities([packages("openssl 3")], store)
    assert before[0].level == "warning"
    add(store, "known-exploited", catalogue(tmp_path / "kev.json", "CVE-2026-1001", "CVE-2025-0001"))
    item, used = judge_vulnerabilities([packages("openssl 3")], store)
    assert (item.level, item.code) == ("failed", "Vulnerabilities.KnownExploited")
    assert [one.name for one in used] == ["known-exploited", "osv"]  # the oldest first
    # It says nothing of packages by itself.
    store.remove("osv")
    assert judge_vulnerabilities([packages("openssl 3")], store)[0].code == "Vulnerabilities.NoDatabase"


def test_only_the_databases_that_cover_the_image_are_used(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry())
    add(store, "osv", zipped(tmp_path / "a.zip", entry("A-1", affected("Alpine:v3.19", "a", {"introduced": "0"}))), "alpine")
    _, used = judge_vulnerabilities([packages("openssl 3")], store)
    assert [one.name for one in used] == ["osv"]
    item, used = judge_vulnerabilities([packages("a 1", kind="apk", distro="alpine-3.18.2")], store)
    assert (item.code, used) == ("Vulnerabilities.NoDatabase", ())
    assert item.advice is not None
    assert "alpine:3.18" in item.advice


def test_no_store_an_empty_one_and_a_broken_one_are_no_database(tmp_path: Path) -> None:
    assert judge_vulnerabilities([packages("a 1")], None)[0].code == "Vulnerabilities.NoDatabase"
    assert judge_vulnerabilities([packages("a 1")], DatabaseStore(tmp_path / "nowhere"))[0].code == "Vulnerabilities.NoDatabase"
    store = osv_store(tmp_path, entry())
    (store.folder / "osv" / FILE).write_text("{")
    item, used = judge_vulnerabilities([packages("openssl 3")], store)
    assert (item.level, item.code, used) == ("unsupported", "Vulnerabilities.NoDatabase", ())
    assert item.advice is not None
    assert "databases add" in item.advice


def test_readers_keep_the_old_index_until_they_are_done_and_later_ones_have_the_new(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry())
    with store.opened() as opened:
        osv_store(tmp_path, entry(), entry("CVE-2026-2222", affected("Debian:12", "openssl", {"introduced": "0"})))
        ((_, index),) = opened
        assert len([*index.advisories("debian:12", ["openssl"])]) == 1
    assert len(known(store)) == 2
    assert len([*(store.folder / "osv").iterdir()]) == 2  # index and manifest: nothing is left of the old one


def test_an_addition_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry())
    before = store.manifests("vulnerabilities")
    (tmp_path / "bad.zip").write_bytes(b"PK nonsense")
    for name in ("osv", "new"):
        with pytest.raises(DatabaseError):
            add(store, "osv", tmp_path / "bad.zip", name)
    assert store.manifests("vulnerabilities") == before
    assert store.verify(before[0]) == []
    assert not (store.folder / "new").exists()


def test_an_input_that_changes_while_it_is_read_is_refused(tmp_path: Path, store: DatabaseStore) -> None:
    file = zipped(tmp_path / "a.zip", entry())

    def change(phase: str, _done: int, _total: int) -> None:
        if phase == "indexing":
            os.utime(file, (1, 1))

    with pytest.raises(DatabaseError, match="it changed while it was read"):
        store.add(KINDS["osv"], file, on_progress=change)


def test_one_addition_at_a_time(tmp_path: Path, store: DatabaseStore) -> None:
    file = zipped(tmp_path / "a.zip", entry())
    inside, go_on = threading.Event(), threading.Event()

    def halt(phase: str, _done: int, _total: int) -> None:
        if phase == "indexing":
            inside.set()
            assert go_on.wait(30)

    other = threading.Thread(target=lambda: store.add(KINDS["osv"], file, on_progress=halt))
    other.start()
    try:
        assert inside.wait(30)
        with pytest.raises(DatabaseError, match="are being changed"):
            add(store, "osv", file)
    finally:
        go_on.set()
        other.join()
    assert len(store.manifests("vulnerabilities")) == 1


def test_verify_says_what_is_amiss(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry())
    (manifest,) = store.manifests("vulnerabilities")
    file = store.index_file(manifest)
    assert store.verify(manifest) == []
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"x")
    assert "was changed" in store.verify(manifest)[0]
    file.write_bytes(data + b"x")
    assert f"has {len(data) + 1} bytes, {len(data)} were written" in store.verify(manifest)[0]
    file.unlink()
    assert "No such file" in store.verify(manifest)[0]


def test_an_index_that_makes_no_sense_is_no_database(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry())
    (manifest,) = store.manifests("vulnerabilities")
    file = store.index_file(manifest)
    whole = file.read_bytes()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE affected SET affected = '[[[1]]]'")
    wrong = file.read_bytes()
    for data in (b"", b"no database", whole[:5000], wrong):
        file.write_bytes(data)
        item, used = judge_vulnerabilities([packages("openssl 3")], store)
        assert (item.level, used) == ("unsupported", ())


def test_a_manifest_of_another_name_or_format_is_refused(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry())
    file = store.folder / "osv" / FILE
    good = json.loads(file.read_text())
    for different in (
        {"name": "x"},
        {"format": 2},
        {"date": "soon"},
        {"index": "../../etc/passwd"},
        {"digest": "x"},
        {"entries": "1"},
    ):
        file.write_text(json.dumps({**good, **different}))
        with pytest.raises(DatabaseError):
            read_manifest(store.folder / "osv")
    (store.folder / "empty").mkdir()
    file.write_text(json.dumps(good))
    assert [one.name for one in store.found()] == ["osv"]
