"""Privileges: setuid, setgid and capability files by whether a package owns them, whichever manager it is."""

import sqlite3
import struct
import time

import pytest

from tests.inspector.memory import File, MemoryFileSystem, facts_of

from findings import Item  # isort: skip
from items import security_privileges  # isort: skip

STRAY = "Privileges.NoPackage"
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
Files = dict[str, File | bytes | str]


def judged(files: Files) -> Item:
    return security_privileges.judge(facts_of(files))


def setuid(permissions: int = 0o4755) -> File:
    return File(b"\x7fELF", permissions)


def rpm_header(folders: list[str], files: list[tuple[int, str]]) -> bytes:
    """Return a header as rpm stores it: entries of tag, type, place, count; then the values."""
    indexes = b"".join(struct.pack(">I", folder) for folder, _ in files)
    bases = b"".join(name.encode() + b"\0" for _, name in files)
    names = b"".join(folder.encode() + b"\0" for folder in folders)
    entries = [(1116, 4, 0, len(files)), (1117, 8, len(indexes), len(files)), (1118, 8, len(indexes + bases), len(folders))]
    store = indexes + bases + names
    return struct.pack(">II", len(entries), len(store)) + b"".join(struct.pack(">IIII", *one) for one in entries) + store


def rpm_sqlite(headers: list[tuple[bytes, list[str]]], *, write_ahead: bool = True) -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        connection.execute("CREATE TABLE 'Basenames' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
        for number, (blob, names) in enumerate(headers, start=1):
            connection.execute("INSERT INTO Packages VALUES (?, ?)", (number, blob))
            connection.executemany(
                "INSERT INTO Basenames VALUES (?, ?, ?)", [(name, number, at) for at, name in enumerate(names)]
            )
        connection.commit()
        data = bytearray(connection.serialize())
    connection.close()
    if write_ahead:
        data[18:20] = b"\x02\x02"
    return bytes(data)


def rpm_ndb(headers: list[bytes]) -> bytes:
    slots, blobs = b"", b""
    for number, header in enumerate(headers, start=1):
        blob = b"BlbS" + struct.pack("<III", number, 1, len(header)) + header
        blob += bytes(-len(blob) % 16)
        slots += b"Slot" + struct.pack("<III", number, (4096 + len(blobs)) // 16, len(blob) // 16)
        blobs += blob
    unused = (b"Slot" + bytes(12)) * 254
    return (b"RpmP" + struct.pack("<III", 0, 1, 1) + bytes(16) + slots + unused)[:4096] + blobs


SUDO = rpm_header(["/usr/bin/", "/usr/libexec/"], [(0, "ls"), (0, "sudo"), (1, "helper")])
SUDO_NAMES = ["ls", "sudo", "helper"]
DATABASES: dict[str, Files] = {
    "dpkg": {"var/lib/dpkg/status": "", "var/lib/dpkg/info/sudo.list": "/.\n/usr\n/usr/bin/sudo\n"},
    "dpkg, before /usr was merged": {
        "var/lib/dpkg/status": "",
        "var/lib/dpkg/info/sudo:amd64.list": "/bin\n/bin/sudo\n",
        "bin": File(link="usr/bin"),
    },
    "dpkg, diverted": {
        "var/lib/dpkg/status": "",
        "var/lib/dpkg/info/sudo.list": "/usr/sbin/su-do\n",
        "var/lib/dpkg/diversions": "/usr/sbin/su-do\n/usr/bin/sudo\nother\n",
    },
    "dpkg without a shell": {"var/lib/dpkg/status.d/sudo.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/bin/sudo\n"},
    "rpm": {"usr/lib/sysimage/rpm/rpmdb.sqlite": rpm_sqlite([(SUDO, SUDO_NAMES)])},
    "rpm, old place, no log": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(SUDO, SUDO_NAMES)], write_ahead=False)},
    "rpm, link to the new place": {
        "usr/lib/sysimage/rpm/rpmdb.sqlite": rpm_sqlite([(SUDO, SUDO_NAMES)]),
        "var/lib/rpm": File(link="../../usr/lib/sysimage/rpm"),
    },
    "rpm, ndb": {"usr/lib/sysimage/rpm/Packages.db": rpm_ndb([rpm_header(["/etc/"], [(0, "x")]), SUDO])},
    "apk": {"lib/apk/db/installed": "P:sudo\nV:1\nF:usr\nF:usr/bin\nR:ls\na:0:0:755\nR:sudo\nF:etc\nR:sudoers\n\n"},
    "apk 3": {"usr/lib/apk/db/installed": "F:usr/bin\nR:sudo\n\n"},
    "pacman": {"var/lib/pacman/local/sudo-1.9-1/files": "%FILES%\nusr/\nusr/bin/\nusr/bin/sudo\n\n%BACKUP%\n"},
}


@pytest.mark.parametrize("database", DATABASES.values(), ids=DATABASES.keys())
def test_owned_and_stray(database: Files) -> None:
    item = judged({**database, "usr/bin/sudo": setuid()})
    assert (item.level, item.value) == ("ok", "1 files, all of packages")
    item = judged({**database, "usr/bin/sudo": setuid(), "usr/local/bin/sudo": setuid(), "opt/x": setuid(0o2755)})
    assert (item.level, item.code) == ("warning", STRAY)
    assert sorted((one.path, one.text) for one in item.evidence) == [("/opt/x", "setgid 0"), ("/usr/local/bin/sudo", "setuid 0")]


DPKG = DATABASES["dpkg"]
KINDS = [
    (File(b"x", 0o4755), "setuid 0"),
    (File(b"x", 0o4755, uid=33), "setuid 33"),
    (File(b"x", 0o2755, gid=42), "setgid 42"),
    (File(b"x", 0o6711), "setuid 0, setgid 0"),
    (File(b"x", 0o755, xattrs={"security.capability": CAPABILITY}), "capabilities 0x2000"),
    (
        File(b"x", 0o755, xattrs={"security.capability": struct.pack("<6I", 0x03000001, 0, 0, 1, 0, 1000)}),
        "capabilities 0x100000000",
    ),
    (File(b"x", 0o644, xattrs={"security.capability": CAPABILITY}), None),
    (File(b"x", 0o755, xattrs={"security.selinux": b"x", "security.capability": b""}), None),
    (File(b"x", 0o755, xattrs={"security.capability": struct.pack("<5I", 0x02000000, 0, 0, 0, 0)}), None),
    (File(b"x", 0o2644), None),
    (File(b"x", 0o4644), None),
    (File(b"x", 0o1777), None),
]


@pytest.mark.parametrize(("file", "text"), KINDS)
def test_what_gives_rights(file: File, text: str | None) -> None:
    item = judged({**DPKG, "opt/tool": file})
    assert [one.text for one in item.evidence] == ([text] if text else [])
    assert item.level == ("warning" if text else "ok")


def test_no_packages_no_judgement() -> None:
    assert judged({"etc/fstab": ""}).level == "ok"
    item = judged({"usr/bin/sudo": setuid()})
    assert (item.level, item.code) == ("unsupported", "Privileges.OwnersUnknown")


ENDLESS = "WITH RECURSIVE n(key, hnum) AS (SELECT 'sudo', 1 UNION ALL SELECT key, hnum + 1 FROM n) SELECT * FROM n"


def view_bomb() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE Packages (hnum, blob)")
        connection.execute(f"CREATE VIEW Basenames AS {ENDLESS}")
        data: bytes = connection.serialize()
    connection.close()
    return data


GOOD = DATABASES["rpm"]["usr/lib/sysimage/rpm/rpmdb.sqlite"]
assert isinstance(GOOD, bytes)
HOSTILE: dict[str, Files] = {
    "berkeley db": {"var/lib/rpm/Packages": b"\0" * 4096},
    "sqlite of nothing": {"var/lib/rpm/rpmdb.sqlite": b""},
    "sqlite of noise": {"var/lib/rpm/rpmdb.sqlite": bytes(range(256)) * 64},
    "sqlite cut off": {"var/lib/rpm/rpmdb.sqlite": GOOD[:4096]},
    "sqlite scrambled": {"var/lib/rpm/rpmdb.sqlite": GOOD[:100] + bytes(one ^ 0x55 for one in GOOD[100:])},
    "sqlite views": {"var/lib/rpm/rpmdb.sqlite": view_bomb()},
    "sqlite with a log": {"var/lib/rpm/rpmdb.sqlite": GOOD, "var/lib/rpm/rpmdb.sqlite-wal": b"x"},
    "header of lies": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(b"\xff" * 64, ["sudo"])])},
    "header of wild folders": {"var/lib/rpm/rpmdb.sqlite": rpm_sqlite([(rpm_header(["/usr/bin/"], [(9, "sudo")]), ["sudo"])])},
    "ndb of lies": {"var/lib/rpm/Packages.db": b"RpmP" + b"\xff" * 28 + b"Slot" + b"\x01\xff\xff\x0f" * 3},
    "ndb of nothing": {"var/lib/rpm/Packages.db": b"RpmP"},
}


@pytest.mark.parametrize("database", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_database_that_lies_is_not_believed(database: Files) -> None:
    began = time.perf_counter()
    item = judged({**database, "usr/bin/sudo": setuid()})
    assert time.perf_counter() - began < 10
    assert (item.level, item.code) == ("unsupported", "Privileges.OwnersUnknown")
    assert item.advice


def test_lists_without_ends_are_bounded() -> None:
    began = time.perf_counter()
    files: Files = {
        "var/lib/dpkg/status": "",
        "var/lib/dpkg/info/a.list": "/usr/bin/sudo" * 1_000_000,
        "var/lib/dpkg/info/b.list": b"\0" * 5_000_000,
        "var/lib/dpkg/info/c.list": "/sudo\n" * 500_000,
        "usr/bin/sudo": setuid(),
    }
    assert judged(files).level == "warning"
    assert judged({"lib/apk/db/installed": "R:sudo\n" * 300_000, "usr/bin/sudo": setuid()}).level == "warning"
    assert time.perf_counter() - began < 10


def test_many_privileged_files_are_counted_and_cut() -> None:
    item = judged({**DPKG, **{f"opt/{number}": setuid() for number in range(5000)}})
    assert (item.level, item.code) == ("unsupported", "Privileges.NotAllSeen")
    assert STRAY in item.value
    assert len(item.as_document()["evidence"]) == 16


def test_a_walk_that_breaks_off_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: MemoryFileSystem, node: str) -> dict[str, bytes]:
        raise ValueError(node)

    monkeypatch.setattr(MemoryFileSystem, "xattrs", broken)
    item = judged({**DPKG, "opt/tool": setuid(0o755)})
    assert (item.level, item.code) == ("unsupported", "Privileges.NotAllSeen")


def test_a_walk_out_of_time_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    from security import walk

    monkeypatch.setattr(walk, "CPU_S_MAX", 0.0)
    item = judged({**DPKG, **{f"opt/{number}": b"" for number in range(2500)}})
    assert (item.level, item.code) == ("unsupported", "Privileges.NotAllSeen")
    assert "1,000 files" in str(item.advice)
