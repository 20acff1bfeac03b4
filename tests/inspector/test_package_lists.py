"""Lists of packages: what dpkg, rpm and apk say is installed is told whole; a database that lies is no empty list."""

import json
import lzma
import random
import sqlite3
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from tests.inspector.disks import Root, ext4, report_of
from tests.inspector.memory import File, facts_of
from tests.inspector.test_confinement import calls_once_confined
from tests.inspector.test_privileges import HOSTILE, Files, rpm_ndb, rpm_sqlite

from packages import documents  # isort: skip
from packages.rpm import sqlite  # isort: skip

DATA = Path(__file__).parent / "data"
SQLITE = lzma.decompress((DATA / "rpmdb.sqlite.xz").read_bytes())
BERKELEY = lzma.decompress((DATA / "Packages.xz").read_bytes())
NDB = rpm_ndb(list(sqlite.headers(bytearray(SQLITE))))
RPM_QA = [line.split() for line in lzma.decompress((DATA / "rpm-qa.xz").read_bytes()).decode().splitlines()]
LINE_BYTES_MAX = 1 << 20


def lists(files: Files) -> dict[str, dict[str, Any]]:
    """What is told of the packages, by type, parts put together; every part fits on a line."""
    found: dict[str, dict[str, Any]] = {}
    for part in documents(facts_of(files)):
        assert len(json.dumps({"packages": part})) < LINE_BYTES_MAX
        assert json.dumps(part, ensure_ascii=False).isprintable()
        known = found.setdefault(part["type"], {**part, "packages": []})
        known["packages"] += part["packages"]
        known["complete"] = known["complete"] and part["complete"]
    return found


def told(files: Files, type_: str) -> list[str]:
    """The packages as words: name, version, architecture, source and its version."""
    listed = lists(files)[type_]
    assert (listed["complete"], listed.get("error")) == (True, None)
    return [" ".join(one.values()) for one in listed["packages"]]


STATUS = """\
Package: bash
Status: install ok installed
Priority: required
Version: 5.2.15-2+b7
Architecture: amd64
Multi-Arch: foreign
Source: bash (5.2.15-2)
Description: a shell
 Version: this is no field
 .
 Package: nor is this

Package: libc6
Status: hold ok installed
Source: glibc
Version: 2.36-9
Architecture: amd64

Package: gone
Status: deinstall ok config-files
Version: 1

Package: never
Status: unknown ok not-installed


Package: halfway
status: install reinstreq half-installed
VERSION: 1:2-3~x
Architecture: all
Conffiles:
 /etc/x d41d8cd98f00b204e9800998ecf8427e
"""
DPKG = ["bash 5.2.15-2+b7 amd64 bash 5.2.15-2", "libc6 2.36-9 amd64 glibc", "halfway 1:2-3~x all"]
APK = "C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\nF:lib\nR:P:x\n\nC:Q1y=\nP:libssl3\nV:3.1.4-r5\nA:x86_64\no:openssl\n"
TEXTS = [
    ({"var/lib/dpkg/status": STATUS}, "deb", DPKG),
    ({"var/lib/dpkg/status": STATUS.rstrip("\n")}, "deb", DPKG),
    ({"var/lib/dpkg/status": ""}, "deb", []),
    (
        {
            "var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 12\nArchitecture: amd64\n",
            "var/lib/dpkg/status.d/base.md5sums": "d41d8cd98f00b204e9800998ecf8427e  Package: x\n",
            "var/lib/dpkg/status.d/tz": "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n",
        },
        "deb",
        ["base-files 12 amd64", "tzdata 2024a-0 all"],
    ),
    ({"lib/apk/db/installed": APK}, "apk", ["musl 1.2.4-r2 x86_64", "libssl3 3.1.4-r5 x86_64 openssl"]),
    (
        {"usr/lib/apk/db/installed": APK, "lib": File(link="usr/lib")},
        "apk",
        ["musl 1.2.4-r2 x86_64", "libssl3 3.1.4-r5 x86_64 openssl"],
    ),
]


@pytest.mark.parametrize(("files", "type_", "packages"), TEXTS)
def test_lists_of_text(files: Files, type_: str, packages: list[str]) -> None:
    assert told(files, type_) == packages


RPMS: dict[str, Files] = {
    "sqlite": {"usr/lib/sysimage/rpm/rpmdb.sqlite": SQLITE},
    "ndb": {"usr/lib/sysimage/rpm/Packages.db": NDB},
    "berkeley db": {"var/lib/rpm/Packages": BERKELEY},
}


@pytest.mark.parametrize("database", RPMS.values(), ids=RPMS.keys())
def test_rpm_lists_what_rpm_itself_does(database: Files) -> None:
    listed = lists(database)["rpm"]
    assert listed["complete"]
    found = sorted([one["name"], one["version"], one["architecture"]] for one in listed["packages"])
    assert found == sorted(line[:3] for line in RPM_QA if line[0] != "gpg-pubkey")
    assert len(found) > 60
    sources = {one["name"]: (one.get("source"), one.get("source_version")) for one in listed["packages"]}
    assert sources["openssl"] == (None, None)
    assert sources["openssl-libs"] == ("openssl", None)
    assert sources["openssl-perl"] == ("openssl", "3.0.7-27.el9")


@pytest.mark.parametrize("database", RPMS.values(), ids=RPMS.keys())
def test_rpm_owns_files_in_every_kind_of_database(database: Files) -> None:
    from security.owners import unchanged
    from security.owners.rpm import paths

    openssl, zone, *others = ["/usr/bin/openssl", "/usr/share/zoneinfo/a-zone-of-some-name-3000", "/opt/openssl", "/usr/bin/x"]
    for content, is_same in ((b"x\n", True), (b"y\n", False)):
        facts = facts_of({**database, openssl: content, zone: b"4\n"})
        assert set(paths(facts.files(), frozenset({"openssl", "a-zone-of-some-name-3000"}))) == {openssl, zone}
        assert unchanged(facts, [openssl, zone, *others]) == {openssl: is_same, zone: True}


def test_no_database_no_list() -> None:
    assert lists({"etc/os-release": "ID=arch\n", "var/lib/pacman/local/bash-5-1/desc": "%NAME%\nbash\n"}) == {}
    assert lists({"var/lib/dpkg/status/x": "", "lib/apk/db/installed": File(link="/nowhere"), "var/lib/rpm/Packages/x": ""}) == {}


def test_an_empty_database_beside_the_systems_is_no_list() -> None:
    empty: Files = {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([]), "lib/apk/db/installed": ""}
    assert lists({"var/lib/dpkg/status": STATUS, **empty}).keys() == {"deb"}
    assert lists(empty).keys() == {"rpm", "apk"}
    unread: Files = {"var/lib/rpm/rpmdb.sqlite": b"noise"}
    assert lists({"var/lib/dpkg/status": STATUS, **unread}).keys() == {"deb", "rpm"}


WHOSE = [
    ("deb", 'ID=debian\nVERSION_ID="12"', "debian", "debian-12"),
    ("deb", "ID=debian\nVERSION_CODENAME=trixie", "debian", "debian-trixie"),
    ("deb", 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"', "ubuntu", "ubuntu-24.04"),
    ("deb", 'ID=kali\nID_LIKE=debian\nVERSION_ID="2024.1"', "kali", "kali-2024.1"),
    ("rpm", 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"', "redhat", "redhat-9.4"),
    ("rpm", 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"', "rocky", "rocky-9.3"),
    ("rpm", 'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.9"', "almalinux", "almalinux-8.9"),
    ("rpm", 'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"', "centos", "centos-7"),
    ("rpm", "ID=fedora\nVERSION_ID=40", "fedora", "fedora-40"),
    ("rpm", 'ID="ol"\nID_LIKE="fedora"\nVERSION_ID="9.3"', "ol", "ol-9.3"),
    ("rpm", 'ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"', "amzn", "amzn-2023"),
    ("rpm", 'ID="alinux"\nID_LIKE="rhel fedora centos anolis"\nVERSION_ID="3"', "alinux", "alinux-3"),
    ("rpm", 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"', "opensuse", "opensuse-leap-15.6"),
    ("rpm", 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\nVERSION_ID="20260101"', "opensuse", "opensuse-tumbleweed"),
    ("rpm", 'ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.5"', "sles", "sles-15.5"),
    ("rpm", 'ID="sles_sap"\nID_LIKE="suse"\nVERSION_ID="15.5"', "sles", "sles-15.5"),
    ("apk", "ID=alpine\nVERSION_ID=3.19.1", "alpine", "alpine-3.19.1"),
    ("rpm", "ID=debian\nVERSION_ID=12", None, None),
    ("deb", "ID=mine\nVERSION_ID=1", "mine", "mine-1"),
    ("deb", "ID=../x\nVERSION_ID=1", None, None),
    ("deb", "ID=debian\nVERSION_ID=\x1b[2J", "debian", None),
    ("deb", "NAME=x", None, None),
]  # fmt: skip
PLACES = {"deb": "var/lib/dpkg/status", "rpm": "var/lib/rpm/rpmdb.sqlite", "apk": "lib/apk/db/installed"}


@pytest.mark.parametrize(("type_", "release", "namespace", "distro"), WHOSE)
def test_whose_packages_they_are(type_: str, release: str, namespace: str | None, distro: str | None) -> None:
    listed = lists({PLACES[type_]: SQLITE if type_ == "rpm" else "", "etc/os-release": release})[type_]
    assert (listed.get("namespace"), listed.get("distro")) == (namespace, distro)


def tampered(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def chain_page() -> int:
    """The place of an overflow page of the Berkeley DB that another one follows."""
    return next(at for at in range(4096, len(BERKELEY), 4096) if BERKELEY[at + 25] == 7 and any(BERKELEY[at + 16 : at + 20]))


def computed_column() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE Packages (hnum, blob AS (zeroblob(60000000)))")
        connection.execute("INSERT INTO Packages (hnum) VALUES (1)")
        data: bytes = connection.serialize()
    connection.close()
    return data


def virtual_table() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE Packages USING fts5(hnum, blob)")
        data: bytes = connection.serialize()
    connection.close()
    return data


def header(*entries: tuple[int, int, int, int], store: bytes = b"x\0") -> bytes:
    return struct.pack(">II", len(entries), len(store)) + b"".join(struct.pack(">IIII", *one) for one in entries) + store


CHAIN = chain_page()
LIES: dict[str, Files] = {
    **{name: files for name, files in HOSTILE.items() if name not in ("sqlite views", "header of wild folders")},
    "sqlite, computed column": {"var/lib/rpm/rpmdb.sqlite": computed_column()},
    "sqlite, virtual table": {"var/lib/rpm/rpmdb.sqlite": virtual_table()},
    "header of 2^32 entries": {
        "var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(struct.pack(">II", 2**32 - 1, 2**32 - 1) + bytes(99), [])])
    },
    "header, name outside": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(header((1000, 6, 2**31, 1)), [])])},
    "header, name without end": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(header((1000, 6, 0, 1), store=b"x" * 64), [])])},
    "header, name a number": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(header((1000, 4, 0, 1)), [])])},
    "header, epoch outside": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(header((1000, 6, 0, 1), (1003, 4, 0, 1)), [])])},
    "header without a name": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(header((1001, 6, 0, 1), (1002, 6, 0, 1)), [])])},
    "berkeley, a chain that leads back": {
        "var/lib/rpm/Packages": tampered(BERKELEY, CHAIN + 16, struct.pack("<I", CHAIN // 4096))
    },
    "berkeley, a chain that leads out": {"var/lib/rpm/Packages": tampered(BERKELEY, CHAIN + 16, b"\xff" * 4)},
    "berkeley, a page too full": {"var/lib/rpm/Packages": tampered(BERKELEY, CHAIN + 22, b"\xff\xff")},
    "berkeley, pages of nothing": {"var/lib/rpm/Packages": tampered(BERKELEY, CHAIN + 22, b"\0\0")},
    "berkeley, 2^32 pages": {"var/lib/rpm/Packages": tampered(BERKELEY, 32, b"\xff" * 4)},
    "berkeley, encrypted": {"var/lib/rpm/Packages": tampered(BERKELEY, 24, b"\1")},
    "berkeley, cut off": {"var/lib/rpm/Packages": BERKELEY[:-4096]},
    "ndb, 2^32 pages": {"var/lib/rpm/Packages.db": tampered(NDB, 12, b"\xff" * 4)},
    "ndb, a slot leads out": {"var/lib/rpm/Packages.db": tampered(NDB, 40, b"\xff" * 4)},
    "ndb, a header without end": {"var/lib/rpm/Packages.db": tampered(NDB, 4096 + 12, b"\xff" * 4)},
    "ndb, cut off": {"var/lib/rpm/Packages.db": NDB[:-4096]},
    "dpkg, no names": {"var/lib/dpkg/status": "Status: install ok installed\nVersion: 1\n"},
    "dpkg, no version": {"var/lib/dpkg/status": "Package: x\nStatus: install ok installed\n"},
    "dpkg, a long name": {"var/lib/dpkg/status": f"Package: {'x' * 300}\nVersion: 1\n"},
    "dpkg, larger than any": {"var/lib/dpkg/status": bytes((64 << 20) + 1)},
    "dpkg, fields without end": {"var/lib/dpkg/status": "Version:\n" * 300_000},
    "apk, no versions": {"lib/apk/db/installed": "P:x\n\nP:y\n\n"},
}


@pytest.mark.parametrize("database", LIES.values(), ids=LIES.keys())
def test_a_database_that_cannot_be_read_is_told(database: Files) -> None:
    began = time.process_time()
    (listed,) = lists(database).values()
    assert time.process_time() - began < 5
    assert not listed["complete"]
    assert listed["error"].startswith(f"the {listed['type']} package database could not be read")


def test_what_was_read_before_a_lie_is_told() -> None:
    listed = lists({"var/lib/dpkg/status": STATUS + "\nPackage: x\n"})["deb"]
    assert (len(listed["packages"]), listed["complete"]) == (3, False)
    assert "1 of its entries" in listed["error"]


@pytest.mark.parametrize("database", [SQLITE, NDB, BERKELEY], ids=["sqlite", "ndb", "berkeley"])
def test_bytes_changed_at_random_never_raise_and_never_hang(database: bytes) -> None:
    dice = random.Random(7)
    path = {SQLITE: "rpmdb.sqlite", NDB: "Packages.db", BERKELEY: "Packages"}[database]
    began = time.process_time()
    for _ in range(40):
        wild = bytearray(database)
        for _ in range(dice.choice((1, 8, 200))):
            page = dice.randrange(len(wild) // 4096) * 4096
            wild[page + dice.choice((dice.randrange(32), dice.randrange(4096)))] = dice.randrange(256)
        (listed,) = lists({f"var/lib/rpm/{path}": bytes(wild)}).values()
        assert len(listed["packages"]) <= len(RPM_QA)
    assert time.process_time() - began < 20


def test_names_that_act_on_a_terminal_are_shown() -> None:
    listed = lists({"var/lib/dpkg/status": b"Package: a\x1b[2J\xff\0\nVersion: \xe2\x80\xae1\n\n"})["deb"]
    assert [list(one.values()) for one in listed["packages"]] == [["a\\x1b[2J\\xff\\x00", "\\u202e1"]]


def test_lists_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.process_time()
    monkeypatch.setattr("packages.PACKAGES_MAX", 100)
    for number, complete in ((100, True), (101, False)):
        listed = lists({"var/lib/dpkg/status": "Package: p\nVersion: 1\n\n" * number})["deb"]
        assert (len(listed["packages"]), listed["complete"], "error" in listed) == (100, complete, False)
    monkeypatch.undo()
    continued = "Package: x\nVersion: 1\nDescription: x\n" + " x\n" * 1_000_000 + "\n" * 1_000_000
    assert told({"var/lib/dpkg/status": continued}, "deb") == ["x 1"]
    wide = "".join(f"Package: {number:\u4e00<250}\nVersion: {'1' * 200}\n\n" for number in range(2500))
    listed = lists({"var/lib/dpkg/status": wide})["deb"]
    assert not listed["complete"]
    assert 1000 < len(listed["packages"]) < 2400
    assert time.process_time() - began < 10


def test_five_thousand_rpms_in_a_moment() -> None:
    fields = ((1000, 6, 0, 1), (1001, 6, 4, 1), (1002, 6, 6, 1), (1022, 6, 8, 1), (1044, 6, 13, 1), (1116, 4, 32, 500))
    store = b"a-b\x001\x002\x00i386\x00a-1-2.src.rpm\x00".ljust(32, b"\0") + bytes(2_000)
    database = rpm_sqlite([(header(*fields, store=store), [])] * 5000)
    began = time.process_time()
    assert told({"var/lib/rpm/rpmdb.sqlite": database}, "rpm") == ["a-b 1-2 i386 a"] * 5000
    assert time.process_time() - began < 3


async def test_a_confined_inspector_tells_all_of_them(tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {"var/lib/dpkg/status": STATUS.encode(), "lib/apk/db/installed": APK.encode()}
    image = ext4(tmp_path / "disk.raw", Root({**files, "usr/lib/sysimage/rpm/rpmdb.sqlite": SQLITE}), mib=16)
    report = await report_of(image)
    assert (report.complete, report.packages is not None) == (True, True)
    found = {one.type: one for one in report.packages or ()}
    assert {type_: len(one.packages) for type_, one in found.items()} == {"deb": 3, "rpm": len(RPM_QA) - 1, "apk": 2}
    assert all(one.complete and one.error is None for one in found.values())
    assert (found["deb"].namespace, found["deb"].distro) == ("debian", "debian-12")
    calls = calls_once_confined(image, tmp_path / "trace")
    assert not [call for call in calls if call[1] in {"EPERM", "EACCES"}]
