"""Upstream's files that are no such files: each is refused with what, where, why and what to do, in time and in memory."""

import bz2
import gzip
import io
import json
import lzma
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.checker.adapters.databases.inputs import Input, InputLimits
from services.checker.adapters.databases.kinds import KINDS, Options
from services.checker.adapters.databases.manifest import DatabaseError
from services.checker.adapters.databases.store import DatabaseStore
from tests.checker.databases import add, affected, catalogue, days_ago, entry, osv_store, suite, tracker, zipped

HOSTILE = "\x1b[2J\n\u202e<script>/../../../etc/passwd"
_STEPS = [{("introduced", "fixed")[number % 2]: str(number)} for number in range(2000)]
_MANY = [{"fixed": str(number)} for number in range(1_000_000)]


@pytest.fixture
def store(tmp_path: Path) -> DatabaseStore:
    return DatabaseStore(tmp_path / "databases")


def refused(store: DatabaseStore, kind: str, file: Path, **options: Any) -> DatabaseError:
    """Add it in vain; returns the reason, which is whole, plain and short."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(DatabaseError) as caught:
            store.add(KINDS[kind], file, options=Options(**options))
        assert tracemalloc.get_traced_memory()[1] < 300 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 30
    assert store.found() == []
    error = caught.value
    for text in (error.what, error.where, error.why, error.advice):
        assert text
        assert text.isprintable(), text
        assert len(text) < 1000
    return error


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def with_(**different: Any) -> dict[str, Any]:
    return {**entry(), **different}


ENTRIES: dict[str, tuple[object, str]] = {
    "no JSON": ("{", "Invalid JSON"),
    "no object": ([], "object"),
    "another one's file": ({"openssl": {}}, "id: Field required"),
    "a number for an id": (with_(id=3), "id: Input should be a valid string"),
    "an endless id": (with_(id="x" * 300), "id: String should have at most 256 characters"),
    "no date": (with_(modified="yesterday"), "modified: not a date"),
    "an impossible date": (with_(modified="2026-13-41T00:00:00Z"), "modified: "),
    "a date to come": (with_(modified="2999-01-01T00:00:00Z"), "which is yet to come"),
    "affected of another type": (with_(affected="openssl"), "affected: Input should be a valid array"),
    "a number for a version": (with_(affected=[affected("Debian:12", "a", {"fixed": 3})]), "events.0.fixed"),  # type: ignore[dict-item]
    "an endless version": (with_(affected=[affected("Debian:12", "a", {"fixed": "1" * 10**6})]), "at most 256 characters"),
    "a million events": (with_(affected=[affected("Debian:12", "a", *_MANY)]), "is over 16777216 bytes"),
    "too many events": (with_(affected=[affected("Debian:12", "a", *_MANY[:5000])]), "at most 2000 items"),
    "too many versions": (
        with_(affected=[affected("Debian:12", "a", *_MANY[:2], versions=["1"] * 60_000)]),
        "at most 50000 items",
    ),
    "versions times intervals": (
        with_(affected=[affected("Debian:12", "a", *_STEPS, versions=[f"9{number}" for number in range(5000)])]),
        "more than can be compared",
    ),
    "for no distribution": (with_(affected=[affected("npm", "a", {"introduced": "0"})]), "none of its entries"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "why"), ENTRIES.values(), ids=ENTRIES)
def test_entries(tmp_path: Path, store: DatabaseStore, content: object, why: str) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{HOSTILE}.json", content if isinstance(content, str) else json.dumps(content))
    error = refused(store, "osv", file)
    assert why in error.why
    assert str(file) in error.where


@pytest.mark.parametrize("levels", [1000, 1_000_000])
def test_depth(tmp_path: Path, store: DatabaseStore, levels: int) -> None:
    for kind, content in (
        ("osv", json.dumps(entry())[:-1] + f', "database_specific": {deep(levels)}}}'),
        ("debian-tracker", f'{{"openssl": {deep(levels)}}}'),
        ("known-exploited", deep(levels)),
    ):
        file = tmp_path / "one.json"
        file.write_text(content)
        refused(store, kind, file, date=days_ago(1))


def _bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", b" " * (64 << 20))


def _many_bombs(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(4):
            archive.writestr(f"{number}.json", json.dumps(entry())[:-1] + " " * (15 << 20) + "}")


def _encrypted(file: Path) -> None:
    data = bytearray(zipped(file, entry()).read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1
    file.write_bytes(data)


def _by_lzma(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("one.json", json.dumps(entry()))


def _broken_entry(file: Path) -> None:
    data = bytearray(zipped(file, entry()).read_bytes())
    data[80] ^= 0xFF
    file.write_bytes(data)


def _long_directory(file: Path) -> None:
    # The end record states a list of entries of 80 MiB; the file is as long, and holds nothing.
    with file.open("wb") as opened:
        opened.truncate(80 << 20)
        opened.seek(80 << 20)
        opened.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 80 << 20, 0, 0))
        opened.seek(0)
        opened.write(b"PK")


ZIPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bomb": (_bomb, "an entry is over 16777216 bytes"),
    "many bombs": (_many_bombs, "no database is packed that well"),
    "encrypted": (_encrypted, "an entry is encrypted"),
    "another method": (_by_lzma, "packed by a method"),
    "a broken entry": (_broken_entry, "an entry is damaged"),
    "no entries": (lambda file: zipfile.ZipFile(file, "w").close(), "it holds 0 *.json files"),
    "cut off": (lambda file: file.write_bytes(zipped(file, entry()).read_bytes()[:-30]), "it is damaged"),
    "a list of entries without end": (_long_directory, "its list of entries has 83886080 bytes"),
    "empty": (lambda file: file.touch(), "it is empty"),
    "no file": (lambda _: None, "No such file"),
    "a folder of nothing": (lambda file: file.mkdir(), "no *.json in this folder"),
}


@pytest.mark.parametrize(("make", "why"), ZIPS.values(), ids=ZIPS)
def test_zips(tmp_path: Path, store: DatabaseStore, make: Callable[[Path], object], why: str) -> None:
    make(tmp_path / "a.zip")
    assert why in refused(store, "osv", tmp_path / "a.zip").why


def test_nothing_of_a_zip_is_unpacked_to_a_path(tmp_path: Path, store: DatabaseStore) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("../../outside.json", "/tmp/image-commons-outside.json", "databases/osv/database.json"):
            archive.writestr(name, json.dumps(entry()))
    assert add(store, "osv", file).entries == 3
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zip", "databases"]
    assert not Path("/tmp/image-commons-outside.json").exists()


def test_more_entries_than_there_may_be(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", *(entry(f"X-{number}") for number in range(5)))
    (tmp_path / "folder").mkdir()
    for number in range(5):
        (tmp_path / "folder" / f"{number}.json").touch()
    limits = InputLimits(entries=4)
    for path in (tmp_path / "a.zip", tmp_path / "folder"):
        with pytest.raises(DatabaseError):
            list(Input(path, limits=limits).documents())


TRACKERS = {
    "no JSON": ("nonsense", "no JSON object"),
    "a list": ("[]", "it says nothing"),
    "cut off": ('{"openssl": {"CVE-1": {', "no JSON object"),
    "a package that is a text": ('{"openssl": "x"}', "no object of vulnerabilities"),
    "a status that is a number": ('{"a": {"CVE-1": {"releases": {"bookworm": {"status": 1}}}}}', "status"),
    "an endless name": (json.dumps({"a" * 300: {}}), "no object of vulnerabilities"),
    "an escape in a name": (json.dumps({HOSTILE: 3}), "no object of vulnerabilities"),
    "another encoding": (b'{"a\xff": {}}', "no JSON object"),
    "nothing": ("{}", "it says nothing"),
}


@pytest.mark.parametrize(("content", "why"), TRACKERS.values(), ids=TRACKERS)
def test_trackers(tmp_path: Path, store: DatabaseStore, content: str | bytes, why: str) -> None:
    file = tmp_path / "json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    assert why in refused(store, "debian-tracker", file, date=days_ago(1)).why


def test_a_package_of_a_tracker_without_end(tmp_path: Path, store: DatabaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.checker.adapters.databases.debian_tracker._PACKAGE_BYTES_MAX", 1 << 20)
    file = tmp_path / "json"
    file.write_text(json.dumps({"a": {f"CVE-{number}": {"x": "y" * 50} for number in range(40_000)}}))
    assert "one of its parts is over 1048576 bytes" in refused(store, "debian-tracker", file, date=days_ago(1)).why


def test_a_tracker_needs_a_date_and_a_date_must_be_one(tmp_path: Path, store: DatabaseStore) -> None:
    file = tracker(tmp_path / "json", openssl={"CVE-2026-1001": {"status": "open"}})
    assert "--date" in refused(store, "debian-tracker", file).advice
    for date in (
        "soon",
        "2026-02-30",
        "2999-01-01",
        "24.11.2026",
        "2026-11-24; rm",
        "2026-11-24T25:00",
        "2026-11-24T1",
        "\u0662026-11-24",
    ):
        refused(store, "debian-tracker", file, date=date)


@pytest.mark.parametrize(
    ("different", "why"),
    [
        ({"count": 5}, "says that it holds 5 entries, and holds 1"),
        ({"vulnerabilities": []}, "at least 1 item"),
        ({"vulnerabilities": [{"cveID": HOSTILE}], "count": 1}, "vulnerabilities.0.cveID"),
        ({"vulnerabilities": {}}, "valid array"),
        ({"dateReleased": "x"}, "dateReleased"),
        ({"dateReleased": "2999-01-01"}, "yet to come"),
    ],
)
def test_catalogues(tmp_path: Path, store: DatabaseStore, different: dict[str, Any], why: str) -> None:
    assert why in refused(store, "known-exploited", catalogue(tmp_path / "kev.json", "CVE-2026-1001", **different)).why


SUITES = {
    "no index": ("<html>not found</html>\n", "this is no field"),
    "nothing": ("\n\n\n", "it lists no package"),
    "no version": ("Package: a\n\n", "without name or version"),
    "no package": ("Version: 1\n\n", "without name or version"),
    "a name with an escape": (f"Package: {HOSTILE[:5]}\nVersion: 1\n\n", "without name or version"),
    "a source of two words": ("Package: a\nSource: b c d\nVersion: 1\n", "without name or version"),
    "a version that is none": ("Package: a\nVersion: one\n", "cannot be compared"),
    "a line without end": ("Package: " + "a" * (2 << 20), "a line is over"),
    "a paragraph without end": ("Package: a\nVersion: 1\n" + " x\n" * 60_000, "a paragraph has more than"),
}


@pytest.mark.parametrize(("content", "why"), SUITES.values(), ids=SUITES)
def test_indexes(tmp_path: Path, store: DatabaseStore, content: str, why: str) -> None:
    assert why in refused(store, "debian-suite", suite(tmp_path, content)).why


@pytest.mark.parametrize(
    ("different", "why"),
    [
        ({"Origin": "Evil"}, "it names no release"),
        ({"Version": "", "codename": "sid"}, "it names no release"),
        ({"codename": "x" * 100}, "it names no release"),
        ({"Date": ""}, "it has no date"),
        ({"Date": "tomorrow"}, "it has no date"),
        ({"Date": "Sat, 01 Jan 2999 00:00:00 UTC"}, "yet to come"),
    ],
)
def test_release_files(tmp_path: Path, store: DatabaseStore, different: dict[str, str], why: str) -> None:
    assert why in refused(store, "debian-suite", suite(tmp_path, "Package: a\nVersion: 1\n", **different)).why


def test_an_index_without_a_release_file_is_of_no_suite(tmp_path: Path, store: DatabaseStore) -> None:
    (tmp_path / "Packages").write_text("Package: a\nVersion: 1\n")
    assert "--release" in refused(store, "debian-suite", tmp_path / "Packages").advice


PACKED: dict[str, tuple[bytes, str]] = {
    "a bomb of gzip": (
        gzip.compress(b"Package: a\nVersion: 1\n" + (b"X: " + b"y" * 900_000 + b"\n") * 30),
        "no database is packed that well",
    ),
    "a bomb of bzip2": (bz2.compress(b" x\n" * (16 << 20)), "a paragraph has more than"),
    "blank lines": (gzip.compress(b"\n" * (16 << 20)), "lines are empty"),
    "cut off": (gzip.compress(b"Package: a\nVersion: 1\n" * 100)[:-9], "it is damaged"),
    "cut off xz": (lzma.compress(b"Package: a\nVersion: 1\n" * 100)[:-9], "it is damaged"),
    "a dictionary of 1 GiB": (
        lzma.compress(b"a", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]),
        "it is damaged",
    ),
    "lz4": (b"\x04\x22\x4d\x18rest", "it is packed by lz4"),
    "another xz": (b"\xfd7zXZ\x00garbage", "it is damaged"),
}


@pytest.mark.parametrize(("content", "why"), PACKED.values(), ids=PACKED)
def test_packed_files(tmp_path: Path, store: DatabaseStore, content: bytes, why: str) -> None:
    suite(tmp_path, "Package: a\nVersion: 1\n")
    (tmp_path / "Packages.packed").write_bytes(content)
    assert why in refused(store, "debian-suite", tmp_path / "Packages.packed").why


def test_names_of_databases(tmp_path: Path, store: DatabaseStore) -> None:
    file = zipped(tmp_path / "a.zip", entry())
    for name in ("", "..", "a/b", "/etc", ".lock", "A", "a\n", "x" * 41, "\x1b"):
        with pytest.raises(DatabaseError):
            add(store, "osv", file, name or "\x00")
        with pytest.raises(DatabaseError):
            store.remove(name)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zip"]


def test_a_database_may_name_anything_and_an_image_ask_for_anything(tmp_path: Path) -> None:
    store = osv_store(tmp_path, entry(HOSTILE, affected("Debian:12", HOSTILE, {"introduced": "0"})))
    with store.opened() as opened:
        ((_, index),) = opened
        asked = [HOSTILE, "' OR 1=1 --", '"', "\\", "a" * 100_000, "\ud800".encode(errors="replace").decode()]
        (one,) = index.advisories("debian:12", asked)
        assert (one.id, one.package) == (HOSTILE, HOSTILE)
        assert index.exploited(asked) == frozenset()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), kind=st.sampled_from(sorted(set(KINDS) - {"yara"})))
def test_no_changed_byte_ends_otherwise_than_in_a_database_or_a_reason(tmp_path: Path, place: int, byte: int, kind: str) -> None:
    made = {
        "osv": lambda: zipped(tmp_path / "a.zip", entry()),
        "debian-tracker": lambda: tracker(tmp_path / "json", a={"CVE-2026-1001": {"status": "open"}}),
        "debian-suite": lambda: suite(tmp_path, "Package: a\nSource: b (2)\nVersion: 1\n"),
        "known-exploited": lambda: catalogue(tmp_path / "kev.json", "CVE-2026-1001"),
    }[kind]()
    data = bytearray(made.read_bytes())
    data[place % len(data)] = byte
    made.write_bytes(data)
    with suppress(DatabaseError):
        DatabaseStore(tmp_path / "d").add(KINDS[kind], made, options=Options(date=days_ago(1)))


def test_reading_is_bounded_whatever_a_stream_gives(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"a" * 100)
    with Input(file, limits=InputLimits(unpacked_bytes=50)).stream() as unpacked, pytest.raises(DatabaseError):
        io.BufferedReader(unpacked).read()
