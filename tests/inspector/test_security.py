"""The security items on a real file system, by the real inspector: all troubles at once, none, and the claims' way to it."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from services.checker.handlers.check_file import check_file
from shared.contracts.facts import Claims
from shared.contracts.report import Report
from tests.inspector.disks import KERNEL, Root, ext4, item, report_of, tool

SECURITY = ("Passwords", "RemoteAccess", "Privileges", "Secrets", "Claims")
SHADOW = "root:*:1::::::\nalice::1::::::\n"
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3T9n0sV1mYqX2b7c8d9e0f1g2h3i4j5k6l7m8n9o0p"
TROUBLES = Root(
    {
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
        "etc/shadow": SHADOW.encode(),
        "etc/machine-id": b"0123456789abcdef0123456789abcdef\n",
        "etc/ssh/sshd_config": b"Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n",
        "etc/ssh/sshd_config.d/1.conf": b"PermitRootLogin yes\n",
        "etc/sudoers": b"alice ALL=(ALL) NOPASSWD: ALL\n",
        "usr/sbin/sshd": b"\x7fELF OpenSSH_9.2p1",
        "root/.ssh/authorized_keys": f"{PUBLIC} me\n".encode(),
        "root/.bash_history": b"ls\nexport DB_PASSWORD=Zq8rT2mK9w\n",
        "var/lib/dpkg/status": b"",
        "var/lib/dpkg/info/login.list": b"/bin/su\n",
        "usr/bin/su": b"\x7fELF",
        "opt/stray": b"\x7fELF",
        "opt/capable": b"\x7fELF",
    },
    {"root/.ssh/loop": "loop", "root/loop": "../root"},
)


def with_rights(path: Path, rights: dict[str, str]) -> Path:
    """Set permissions inside the file system image, as `mke2fs -d` of a user cannot."""
    commands = "".join(f"sif {name} mode {mode}\n" for name, mode in rights.items())
    value = path.with_name("capability")
    value.write_bytes(CAPABILITY)
    tool("debugfs", "-w", "-f", "/dev/stdin", path, stdin=f"{commands}ea_set -f {value} /opt/capable security.capability\n")
    return path


async def test_all_troubles_on_a_real_file_system(tmp_path: Path) -> None:
    disk = ext4(tmp_path / "disk.raw", TROUBLES)
    with_rights(disk, {"/usr/bin/su": "0104755", "/opt/stray": "0104755", "/opt/capable": "0100755"})
    report = await report_of(disk)
    assert report.error is None
    found = {name: item(report, name) for name in SECURITY}
    assert {name: (one.level, one.code) for name, one in found.items()} == {
        "Passwords": ("failed", "Passwords.Empty"),
        "RemoteAccess": ("warning", "RemoteAccess.RootLogin"),
        "Privileges": ("warning", "Privileges.NoPackage"),
        "Secrets": ("failed", "Secrets.Token"),
        "Claims": ("ok", None),
    }
    places = {(one.path, one.line) for name in SECURITY for one in found[name].evidence}
    assert places == {
        ("/etc/shadow", 2),
        ("/etc/ssh/sshd_config.d/1.conf", 1),
        ("/etc/sudoers", 1),
        ("/opt/stray", None),
        ("/opt/capable", None),
        ("/root/.bash_history", 2),
        ("/root/.bash_history", None),
        ("/root/.ssh/authorized_keys", 1),
        ("/etc/machine-id", None),
    }
    rights = {one.path: one.text for one in found["Privileges"].evidence}
    assert rights == {"/opt/stray": "setuid 0", "/opt/capable": "capabilities 0x2000"}
    assert "Zq8rT2mK9w" not in report.model_dump_json()


async def test_no_trouble_on_a_good_one(good_raw: Path) -> None:
    report = await report_of(good_raw)
    assert {item(report, name).level for name in SECURITY} == {"ok"}


async def checked(path: Path, name: str | None = None, claims: Claims | None = None) -> Report:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return await check_file(descriptor, name=name, claims=claims)
    finally:
        os.close(descriptor)


async def test_name_and_claims_reach_the_inspector(good_raw: Path) -> None:
    good = f"debian12_kernel{KERNEL}_x86_64_20240101"
    claims = Claims(os_type="linux", platform="Debian", architecture="x86_64", boot_mode="UEFI")
    assert item(await checked(good_raw, good, claims), "Claims").value == "no contradiction"
    bad = item(await checked(good_raw, good, Claims(architecture="arm64")), "Claims")
    assert (bad.level, bad.code) == ("failed", "Claims.Architecture")
    bad = item(await checked(good_raw, "--claims=ubuntu20.04_kernel4.18_x86_64_20230101"), "Claims")
    assert (bad.level, bad.code) == ("failed", "Claims.Kernel")  # a name like an option is a name
    bad = item(await checked(good_raw, "ubuntu20.04_kernel4.18_x86_64_20230101_v1.0"), "Claims")
    assert (bad.level, bad.code, bad.value) == ("failed", "Claims.System", ("Claims.System", "Claims.Kernel"))


async def test_a_name_of_any_letters_reaches_it_whole(good_raw: Path) -> None:
    for name in ("镜像.ubuntu-20.04", "Ünïcödé", "a" * 128):
        assert item(await checked(good_raw, name), "Claims").level == "ok"


def test_the_command_line_hands_the_name_on(good_raw: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(good_raw, tmp_path / "ubuntu20.04_kernel4.18_x86_64_20230101_v1.0.raw"))
    for options, level in ((("--name",), "failed"), ((), "ok")):
        command = [sys.executable, "-m", "cli", "check", str(path), "--json", *options]
        document = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        assert [one["level"] for one in document["items"] if one["name"] == "SECURITY.Claims"] == [level]
