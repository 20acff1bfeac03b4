"""Remote access: root and empty passwords by sshd, root without a password by sudo and doas, second roots."""

import time

import pytest

from tests.inspector.memory import File, facts_of

from findings import Item  # isort: skip
from items import security_remote_access  # isort: skip

PASSWD = """root:x:0:0:root:/root:/bin/bash
alice:x:1000:1000::/home/alice:/bin/bash
web:x:33:33::/var/www:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nwheel:x:10:alice\nsudo:x:27:\nweb:x:33:\nalice:x:1000:\n"
CONFIG = "/etc/ssh/sshd_config"
DROPIN = "/etc/ssh/sshd_config.d/50-cloud.conf"
NEW, OLD = b"\x7fELF..OpenSSH_9.2p1 Debian-2", b"\x7fELF..OpenSSH_6.6.1p1"


def judged(files: dict[str, File | bytes | str], *, sshd: bytes | None = NEW, passwd: str = PASSWD) -> Item:
    base: dict[str, File | bytes | str] = {"etc/passwd": passwd, "etc/group": GROUP}
    if sshd is not None:
        base["usr/sbin/sshd"] = sshd
    return security_remote_access.judge(facts_of(base | files))


def seen(item: Item) -> tuple[str, str | None, list[tuple[str | None, int | None]]]:
    return item.level, item.code, [(one.path, one.line) for one in item.evidence]


NO_PASSWORDS = "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
INCLUDE = "Include /etc/ssh/sshd_config.d/*.conf\n"
ROOT, EMPTY = "RemoteAccess.RootLogin", "RemoteAccess.EmptyPasswords"
SSHD = {
    "no config": ({}, "ok", None, []),
    "Debian's defaults": ({CONFIG: INCLUDE + "#PermitRootLogin yes\nUsePAM yes\nX11Forwarding yes\n"}, "ok", None, []),
    "root by password": ({CONFIG: "# x\nPermitRootLogin yes\n"}, "warning", ROOT, [(CONFIG, 2)]),
    "any case, equals, quotes": ({CONFIG: 'permitrootLOGIN="YES"\n'}, "warning", ROOT, [(CONFIG, 1)]),
    "with a comment": ({CONFIG: "PermitRootLogin yes # for now\n"}, "warning", ROOT, [(CONFIG, 1)]),
    "root by key": ({CONFIG: "PermitRootLogin prohibit-password\n"}, "ok", None, []),
    "first match wins": ({CONFIG: "PermitRootLogin no\nPermitRootLogin yes\n"}, "ok", None, []),
    "first match loses": ({CONFIG: "PermitRootLogin yes\nPermitRootLogin no\n"}, "warning", ROOT, [(CONFIG, 1)]),
    "drop-in before": (
        {CONFIG: INCLUDE + "PermitRootLogin no\n", DROPIN: "PermitRootLogin yes\n"},
        "warning",
        ROOT,
        [(DROPIN, 1)],
    ),
    "drop-in mends": ({CONFIG: INCLUDE + "PermitRootLogin yes\n", DROPIN: "PermitRootLogin no\n"}, "ok", None, []),
    "drop-in after": ({CONFIG: "PermitRootLogin no\n" + INCLUDE, DROPIN: "PermitRootLogin yes\n"}, "ok", None, []),
    "drop-ins in order": (
        {CONFIG: INCLUDE, DROPIN: "PermitRootLogin yes\n", "/etc/ssh/sshd_config.d/10-a.conf": "PermitRootLogin no\n"},
        "ok",
        None,
        [],
    ),
    "not a drop-in": ({CONFIG: INCLUDE, "/etc/ssh/sshd_config.d/50-cloud.conf.rpmsave": "PermitRootLogin yes\n"}, "ok", None, []),
    "relative include": (
        {CONFIG: "Include more\n", "/etc/ssh/more": "PermitRootLogin yes"},
        "warning",
        ROOT,
        [("/etc/ssh/more", 1)],
    ),
    "SUSE's place": ({"/usr/etc/ssh/sshd_config": "PermitRootLogin yes\n"}, "warning", ROOT, [("/usr/etc/ssh/sshd_config", 1)]),
    "no passwords at all": (
        {CONFIG: f"PermitRootLogin yes\n{NO_PASSWORDS}"},
        "ok",
        None,
        [],
    ),
    "PAM still asks": ({CONFIG: "PermitRootLogin yes\nPasswordAuthentication no\n"}, "warning", ROOT, [(CONFIG, 1)]),
    "old name": (
        {CONFIG: "PermitRootLogin yes\nPasswordAuthentication no\nChallengeResponseAuthentication no"},
        "ok",
        None,
        [],
    ),
    "empty passwords": ({CONFIG: "PermitEmptyPasswords yes\n"}, "failed", EMPTY, [(CONFIG, 1)]),
    "both": ({CONFIG: "PermitRootLogin yes\nPermitEmptyPasswords yes\n"}, "failed", EMPTY, [(CONFIG, 2), (CONFIG, 1)]),
    "match": ({CONFIG: "PermitRootLogin no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n"}, "warning", ROOT, [(CONFIG, 3)]),
    "match another": ({CONFIG: "PermitRootLogin no\nMatch User git,!root\n  PermitRootLogin yes\n"}, "ok", None, []),
    "match a pattern": ({CONFIG: "PermitRootLogin no\nMatch User r*t\n  PermitRootLogin yes\n"}, "warning", ROOT, [(CONFIG, 3)]),
    "match all": ({CONFIG: "PermitRootLogin yes\nMatch all\n  PermitRootLogin no\n"}, "ok", None, []),
    "match empties": ({CONFIG: "Match Group ftp\nPermitEmptyPasswords yes\n"}, "failed", EMPTY, [(CONFIG, 2)]),
    "match passwords": (
        {CONFIG: f"PermitRootLogin yes\n{NO_PASSWORDS}Match Host a\nPasswordAuthentication yes\n"},
        "warning",
        ROOT,
        [(CONFIG, 1)],
    ),
    "match ends with the include": (
        {CONFIG: INCLUDE + "PermitRootLogin no\n", DROPIN: "Match User git\nX11Forwarding no\n"},
        "ok",
        None,
        [],
    ),
    "include beneath match": (
        {CONFIG: "PermitRootLogin no\nMatch Address ::1\nInclude x\n", "/etc/ssh/x": "PermitEmptyPasswords yes"},
        "failed",
        EMPTY,
        [("/etc/ssh/x", 1)],
    ),
}


@pytest.mark.parametrize(("files", "level", "code", "places"), SSHD.values(), ids=SSHD.keys())
def test_sshd(files: dict[str, str], level: str, code: str | None, places: list[tuple[str, int]]) -> None:
    item = judged(dict(files))
    assert seen(item) == (level, code, places)
    assert level == "ok" or item.advice


def test_defaults_are_those_of_the_version() -> None:
    assert judged({}, sshd=OLD).code == ROOT
    assert judged({CONFIG: "PermitRootLogin no"}, sshd=OLD).level == "ok"
    assert judged({"etc/os-release": "ID=centos\nVERSION_ID=7\n"}, sshd=b"OpenSSH_7.4p1").code == ROOT
    assert judged({"etc/os-release": "ID=debian\n"}, sshd=b"OpenSSH_7.4p1").level == "ok"
    assert judged({"etc/os-release": "ID=rhel\n"}, sshd=b"OpenSSH_8.7p1").level == "ok"
    assert judged({}, sshd=b"no version").level == "ok"
    item = judged({}, sshd=NEW)
    assert item.value == "sshd: root prohibit-password (default), passwords yes"


def test_without_a_server_its_configuration_is_nothing() -> None:
    item = judged({CONFIG: "PermitEmptyPasswords yes\nPermitRootLogin yes\n"}, sshd=None)
    assert (item.level, item.value) == ("ok", "no sshd")
    item = judged({"usr/sbin/dropbear": b"\x7fELF"}, sshd=None)
    assert (item.level, item.code) == ("unsupported", "RemoteAccess.OtherServer")


SUDOERS, CLOUD = "/etc/sudoers", "/etc/sudoers.d/90-cloud-init-users"
WITH_DROPINS = "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"
FREE = "RemoteAccess.RootWithoutPassword"
SUDO = {
    "Debian's": (
        {SUDOERS: "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"},
        [],
    ),
    "a user": ({SUDOERS: "alice ALL=(ALL) NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "without blanks": ({SUDOERS: "alice ALL=(ALL)NOPASSWD:ALL\n"}, [(SUDOERS, 1)]),
    "cloud-init's": ({SUDOERS: WITH_DROPINS, CLOUD: "# by\n\nalice ALL=(ALL) NOPASSWD:ALL\n"}, [(CLOUD, 3)]),
    "old include": ({SUDOERS: "#includedir /etc/sudoers.d\n", CLOUD: "alice ALL=NOPASSWD:ALL\n"}, [(CLOUD, 1)]),
    "name with a dot": ({SUDOERS: WITH_DROPINS, CLOUD + ".bak": "alice ALL=NOPASSWD:ALL\n"}, []),
    "not included": ({SUDOERS: "root ALL=ALL\n", CLOUD: "alice ALL=NOPASSWD:ALL\n"}, []),
    "who is not here": ({SUDOERS: "ubuntu ALL=(ALL) NOPASSWD:ALL\n"}, []),
    "who cannot log in": ({SUDOERS: "web ALL=(ALL) NOPASSWD:ALL\n"}, []),
    "root": ({SUDOERS: "root ALL=(ALL) NOPASSWD:ALL\n"}, []),
    "a group": ({SUDOERS: "%wheel ALL=(ALL) NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "an empty group": ({SUDOERS: "%sudo ALL=(ALL) NOPASSWD: ALL\n"}, []),
    "a primary group": ({SUDOERS: "%alice ALL=(ALL) NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "everybody": ({SUDOERS: "ALL ALL=(ALL) NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "a number": ({SUDOERS: "#1000 ALL=(ALL) NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "an alias": ({SUDOERS: "User_Alias ADM = bob, alice\nADM ALL = (root) NOPASSWD: ALL\n"}, [(SUDOERS, 2)]),
    "a list": ({SUDOERS: "bob, alice ALL = NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "a command": ({SUDOERS: "alice ALL = NOPASSWD: /usr/bin/apt update\n"}, []),
    "a shell": ({SUDOERS: "alice ALL = NOPASSWD: /usr/bin/apt, /bin/su -\n"}, [(SUDOERS, 1)]),
    "a command alias": ({SUDOERS: "Cmnd_Alias X = /bin/ls, /bin/bash\nalice ALL = NOPASSWD: X\n"}, [(SUDOERS, 2)]),
    "asked again": ({SUDOERS: "alice ALL = NOPASSWD: /bin/ls, PASSWD: ALL\n"}, []),
    "as another": ({SUDOERS: "alice ALL = (web) NOPASSWD: ALL\n"}, []),
    "as several": ({SUDOERS: "alice ALL = (web, root) NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "more tags": ({SUDOERS: "alice ALL = (ALL) SETENV: NOPASSWD: NOEXEC: ALL\n"}, [(SUDOERS, 1)]),
    "continued": ({SUDOERS: "alice \\\n  ALL=(ALL) \\\n NOPASSWD: ALL\n"}, [(SUDOERS, 1)]),
    "defaults": ({SUDOERS: "Defaults !authenticate\nalice ALL=(ALL) ALL\n"}, [(SUDOERS, 2)]),
    "defaults of one": ({SUDOERS: "Defaults:alice !authenticate\nalice ALL=(ALL) ALL\n"}, [(SUDOERS, 2)]),
    "defaults of another": ({SUDOERS: "Defaults:web !authenticate\nalice ALL=(ALL) ALL\n"}, []),
    "a comment": ({SUDOERS: "# alice ALL=(ALL) NOPASSWD: ALL\n"}, []),
    "not her": ({SUDOERS: "ALL, !alice ALL = NOPASSWD: ALL\n"}, []),
    "doas": ({"/etc/doas.conf": "# x\npermit nopass :wheel\n"}, [("/etc/doas.conf", 2)]),
    "doas with options": ({"/etc/doas.d/a.conf": "permit nopass setenv { A=b } alice as root\n"}, [("/etc/doas.d/a.conf", 1)]),
    "doas asks": ({"/etc/doas.conf": "permit persist :wheel\n"}, []),
    "doas one command": ({"/etc/doas.conf": "permit nopass alice cmd reboot\n"}, []),
}


@pytest.mark.parametrize(("files", "places"), SUDO.values(), ids=SUDO.keys())
def test_root_without_a_password(files: dict[str, str], places: list[tuple[str, int]]) -> None:
    item = judged(dict(files))
    assert seen(item) == (("warning", FREE, places) if places else ("ok", None, []))
    assert not places or "alice" in str(item.advice)


def test_a_second_root() -> None:
    item = judged({}, passwd=PASSWD + "toor:x:0:0::/root:/bin/sh\n")
    assert seen(item) == ("warning", "RemoteAccess.SecondRoot", [("/etc/passwd", 4)])
    assert judged({}, passwd=PASSWD + "toor:x:00:0::/root:/bin/sh\n").code == "RemoteAccess.SecondRoot"


HOSTILE: dict[str, dict[str, File | bytes | str]] = {
    "includes itself": {CONFIG: "Include sshd_config\n" * 5000},
    "a fan of includes": {CONFIG: INCLUDE} | {f"/etc/ssh/sshd_config.d/{number}.conf": INCLUDE for number in range(300)},
    "link loop": {CONFIG: File(link="sshd_config")},
    "endless line": {CONFIG: "PermitRootLogin " + "a" * 260_000},
    "too large": {CONFIG: "#" * 300_000},
    "nul": {CONFIG: b"\0" * 200_000},
    "sudoers includes itself": {SUDOERS: "@include /etc/sudoers\n" * 5000},
    "sudoers continued for ever": {SUDOERS: "\\\n" * 100_000},
    "sudoers parentheses": {SUDOERS: "alice ALL=" + "(" * 100_000},
    "folder wildcards": {CONFIG: "Include /etc/*/*/*/x\n"},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_configurations_end(files: dict[str, File | bytes | str]) -> None:
    began = time.perf_counter()
    item = judged(files)
    assert time.perf_counter() - began < 3
    assert item.level in {"ok", "unsupported"}
    if item.level == "unsupported":
        assert item.advice


@pytest.mark.parametrize(
    "name", ["includes itself", "a fan of includes", "too large", "sudoers includes itself", "folder wildcards"]
)
def test_what_was_not_read_is_not_ok(name: str) -> None:
    assert (judged(HOSTILE[name]).level, judged(HOSTILE[name]).code) == ("unsupported", "RemoteAccess.NotReadable")
