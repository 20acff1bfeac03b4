"""Each item in both directions: what is fine is `ok` with its value, a planted trouble is found where it is."""

import contextlib
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.inspector.disks import FSTAB, KERNEL, PART_UUID, ROOT_UUID, Root, ext4, gpt, item, qcow2, report_of, tool, verdict


@pytest.mark.parametrize("image", ["good_raw", "good_qcow2", "good_root"])
async def test_a_good_image_passes(image: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(image)
    report = await report_of(path)
    assert (verdict(report).outcome, report.error) == ("passed", None)
    levels = {one.name: one.level for one in report.items if one.level != "ok"}
    assert levels == ({} if image != "good_root" else {"GUESTOS.BootMode": "unsupported"})
    found = report.attributes
    assert (found.platform, found.os_version, found.kernel_version) == ("Debian", "Debian 12", KERNEL)
    assert (found.architecture, found.boot_mode) == ("x86_64", None if image == "good_root" else "UEFI-Preferred")
    assert report.image.digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert report.image.size_bytes == path.stat().st_size
    assert report.image.format == ("qcow2" if image == "good_qcow2" else "raw")


@pytest.mark.parametrize(
    ("bios", "uefi", "mode"), [(True, False, "BIOS"), (False, True, "UEFI"), (True, True, "UEFI-Preferred"), (False, False, None)]
)
async def test_boot_mode(good_root: Path, tmp_path: Path, *, bios: bool, uefi: bool, mode: str | None) -> None:
    found = item(await report_of(gpt(tmp_path / "disk.raw", good_root, bios=bios, uefi=uefi)), "BootMode")
    assert (found.level, found.value) == (("ok", mode) if mode else ("unsupported", None))


async def test_an_efi_system_partition_without_a_loader_boots_nothing(good_root: Path, tmp_path: Path) -> None:
    disk = gpt(tmp_path / "disk.raw", good_root, bios=False, loader=False)
    assert item(await report_of(disk), "BootMode").level == "unsupported"


FSTAB_CASES = [
    (FSTAB, "ok", None, []),
    ("", "ok", None, []),
    (f"PARTUUID={PART_UUID.lower()} / ext4 defaults 0 1", "ok", None, []),
    ('LABEL="system" / ext4 defaults 0 1', "ok", None, []),
    ("PARTLABEL=root / ext4 defaults 0 1", "ok", None, []),
    ("UUID=CAFE-0001 /boot/efi vfat umask=0077 0 1", "ok", None, []),
    (f"/dev/disk/by-uuid/{ROOT_UUID} / ext4 defaults 0 1", "ok", None, []),
    ("tmpfs /tmp tmpfs defaults 0 0\nproc /proc proc defaults 0 0\nnas:/x /mnt nfs defaults 0 0", "ok", None, []),
    ("UUID=0badf00d-0000-4000-8000-00000000dead / ext4 defaults 0 1", "failed", "Fstab.NoSuchDevice", [1]),
    ("# first\n\nLABEL=nowhere /data ext4 defaults 0 2", "failed", "Fstab.NoSuchDevice", [3]),
    ("/dev/mapper/vg-root / ext4 defaults 0 1", "failed", "Fstab.NoSuchDevice", [1]),
    ("/dev/vda9 /data ext4 defaults 0 2", "failed", "Fstab.NoSuchDevice", [1]),
    ("LABEL=nowhere /data ext4 nofail 0 2", "warning", "Fstab.NoSuchDeviceNofail", [1]),
    ("LABEL=nowhere /data ext4 noauto 0 2", "ok", None, []),
    ("/dev/vda3 / ext4 defaults 0 1", "warning", "Fstab.KernelName", [1]),
    ("UUID=0badf00d-0000-4000-8000-00000000dead none swap sw 0 0", "failed", "Fstab.NoSuchDevice", [1]),
    ("/swapfile none swap sw 0 0", "ok", None, []),
]


@pytest.mark.parametrize(("fstab", "level", "code", "lines"), FSTAB_CASES)
async def test_fstab(tmp_path: Path, fstab: str, level: str, code: str | None, lines: list[int]) -> None:
    disk = gpt(tmp_path / "disk.raw", ext4(tmp_path / "root", Root({"etc/fstab": fstab.encode()})))
    report = await report_of(disk)
    found = item(report, "Fstab")
    assert (found.level, found.code) == (level, code)
    assert [one.line for one in found.evidence if one.line] == lines
    if lines:
        evidence = found.evidence[0]
        assert (evidence.path, evidence.sha256) == ("/etc/fstab", hashlib.sha256(fstab.encode()).hexdigest())
        assert evidence.text == fstab.split("\n")[lines[0] - 1]
        assert found.advice
    assert verdict(report).outcome == ("blocked" if level == "failed" else "passed")


async def test_fstab_may_name_a_volume_that_could_not_be_read(tmp_path: Path) -> None:
    root = Root({"etc/fstab": b"UUID=CAFE-0001 /boot/efi vfat defaults 0 1\n"})
    disk = gpt(tmp_path / "disk.raw", ext4(tmp_path / "root", root))
    with disk.open("r+b") as file:
        file.seek((2 << 20) + 13)
        file.write(b"\xff")  # sectors a cluster: FAT's magic stays, and makes no sense any more
    found = item(await report_of(disk), "Fstab")
    assert (found.level, found.code, found.evidence[0].line) == ("unsupported", "Fstab.VolumeNotReadable", 1)


@pytest.mark.parametrize(
    ("root", "name", "value"),
    [
        (Root({"etc/os-release": b"ID=ubuntu\nVERSION_ID=24.04\n"}), "OSVersion", "Ubuntu 24.04"),
        (Root({"etc/os-release": None, "usr/lib/os-release": b"ID=fedora\nVERSION_ID=41\n"}), "Platform", "Fedora"),
        (
            Root({"etc/os-release": None, "usr/lib/os-release": b"ID=sles\n"}, {"etc/os-release": "../usr/lib/os-release"}),
            "Platform",
            "SUSE",
        ),
        (Root({"etc/os-release": b"NAME='My Linux'\nID=mine\n"}), "Platform", "My Linux"),
        (Root({f"boot/vmlinuz-{KERNEL}": None, "lib/modules/5.10.0-9/x": b""}), "KernelVersion", "5.10.0-9"),
        (Root({"boot/vmlinuz-6.10.1": b"", "boot/vmlinuz-6.9.12": b""}), "KernelVersion", "6.10.1"),
    ],
)
async def test_what_it_is(tmp_path: Path, root: Root, name: str, value: str) -> None:
    found = item(await report_of(ext4(tmp_path / "disk.raw", root)), name)
    assert (found.level, found.value) == ("ok", value)


@pytest.mark.parametrize(
    ("root", "name"),
    [
        (Root({"etc/os-release": b"VERSION_ID=12\n"}), "Platform"),
        (Root({"etc/os-release": b"ID=debian\n"}), "OSVersion"),
        (Root({f"boot/vmlinuz-{KERNEL}": None, "boot/grub/grub.cfg": None}), "KernelVersion"),
        (Root({"usr/bin/sh": b"#!text"}), "Architecture"),
    ],
)
async def test_what_cannot_be_told_is_unsupported_with_a_reason(tmp_path: Path, root: Root, name: str) -> None:
    report = await report_of(ext4(tmp_path / "disk.raw", root))
    found = item(report, name)
    assert (found.level, bool(found.code), bool(found.advice)) == ("unsupported", True, True)
    assert verdict(report).outcome in {"passed", "undetermined"}


async def test_luks_is_encryption(good_root: Path, tmp_path: Path) -> None:
    disk = gpt(tmp_path / "disk.raw", good_root)
    with disk.open("r+b") as file:
        file.seek(4 << 20)
        file.write(b"LUKS\xba\xbe\x00\x02" + bytes(4088))
    report = await report_of(disk)
    assert (item(report, "Encryption").level, item(report, "Encryption").code) == ("failed", "Encryption.Luks")
    assert verdict(report).outcome == "blocked"


async def test_encrypted_qcow2_is_encryption(good_raw: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    image = tmp_path / "disk.qcow2"
    secret = f"secret,id=s,file={tmp_path / 'key'}"
    options = ("-O", "qcow2", "--object", secret, "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10")
    for attempt in range(1, 4):
        # It measures how fast it derives keys, and gives up where a busy machine left it no time for that.
        with contextlib.suppress(*(subprocess.CalledProcessError,) if attempt < 3 else ()):
            tool("qemu-img", "convert", *options, good_raw, image)
            break
    report = await report_of(image)
    assert item(report, "Encryption").code == "Encryption.Container"
    assert verdict(report).outcome == "blocked"


async def test_backing_file_is_refused_whatever_it_names(good_raw: Path, tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", good_raw, "-F", "raw", image)
    report = await report_of(image)
    assert item(report, "DiskFormat").code == "DiskFormat.BackingFile"
    assert verdict(report).outcome == "blocked"


async def test_compressed_qcow2_is_read(good_raw: Path, tmp_path: Path) -> None:
    for options in (("-c",), ("-c", "-o", "compression_type=zstd")):
        report = await report_of(qcow2(tmp_path / "disk.qcow2", good_raw, *options))
        assert (verdict(report).outcome, report.attributes.kernel_version) == ("passed", KERNEL)


@pytest.mark.parametrize(
    "content", [b"", b"just a text\n" * 400, bytes(1 << 20), b"\x89PNG" + bytes(5000)], ids=["empty", "text", "zeros", "picture"]
)
async def test_what_is_no_system_disk_is_blocked(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(content)
    report = await report_of(path)
    assert item(report, "SystemImage").level == "failed"
    assert verdict(report).outcome == "blocked"


async def test_an_installation_medium_is_no_system_disk(tmp_path: Path) -> None:
    path = tmp_path / "disk.iso"
    path.write_bytes(bytes(32768) + b"\x01CD001\x01" + bytes(100_000))
    assert item(await report_of(path), "SystemImage").code == "SystemImage.InstallationMedium"


async def test_a_stated_format_that_it_is_not_is_refused(good_qcow2: Path, good_raw: Path) -> None:
    for path, stated in ((good_qcow2, "raw"), (good_raw, "qcow2")):
        report = await report_of(path, stated)
        assert item(report, "DiskFormat").level == "failed"
        assert verdict(report).outcome == "blocked"


async def test_content_that_changes_meanwhile_is_incomplete(good_raw: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(good_raw, tmp_path / "disk.raw"))
    import os

    from services.checker.handlers.check_file import CHANGED, check_file

    descriptor = os.open(path, os.O_RDONLY)
    try:
        written = []

        def write(_phase: str, _done: int, _total: int) -> None:
            if not written:
                written.append(path.write_bytes(b"other"))

        report = await check_file(descriptor, on_progress=write)
    finally:
        os.close(descriptor)
    assert (report.complete, report.error) == (False, CHANGED)
