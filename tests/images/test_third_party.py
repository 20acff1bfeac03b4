"""File systems, partition tables and containers that nobody here made: read as other tools read them, and never to any harm."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import look, open_disk
from demo.partitions import run
from filesystems import open_file_system
from filesystems.base import FileSystem
from findings import Unreadable, attempt
from part import Part
from tests.images.conftest import COUNTED
from tests.images.inputs import in_limits, listing, many, on_disk, one
from tests.inspector.disks import item, report_of
from volumes import find

pytestmark = pytest.mark.timeout(1800)
MIB = 1 << 20
INLINE_BYTES, SHA256_DIGITS = 60, 64
CYLINDER_BYTES_MAX = 16 * 255 * 512
KINDS = {"ext2": "ext4", "ext3": "ext4", "ext4": "ext4", "LVM2_member": "lvm2", "crypto_LUKS": "luks", "BitLocker": "bitlocker"}
READ = {*KINDS, "xfs", "btrfs", "vfat", "ntfs", "iso9660"}


def is_sound(*command: str | Path) -> bool:
    """Whether a checker of file systems says so; with some damage e2fsck goes round for ever."""
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def is_replayed(path: Path) -> bool:
    """Whether an ext has a journal to write back, and is read as if it were."""
    with path.open("rb") as file:
        file.seek(1024 + 96)
        if not file.read(1)[0] & 4:
            return False
        files = attempt(lambda: open_file_system(Part(file, 0, path.stat().st_size)))
        return isinstance(files, FileSystem) and files.unfinished is None


def unread_by_linux(path: Path, names: set[str], folder: Path) -> set[str]:
    """Return which of a file system's files Linux does not read either: e2fsck lets some pass that could only be better."""
    if not names:
        return set()
    folder.mkdir(exist_ok=True)
    script = 'mount -o ro,noload,loop "$0" "$1"; cd "$1"; shift; for name; do cat ".$name" >/dev/null 2>&1 || echo "$name"; done'
    return set(run(["unshare", "--mount", "sh", "-euc", script, str(path), str(folder), *names]).splitlines())


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder in memory, for tools that have every change written to the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_hundreds_of_damaged_ext_file_systems_do_no_harm_and_sound_ones_are_read_right(tmp_path: Path, in_memory: Path) -> None:
    """The corpus of e2fsck's own tests; debugfs is the other reader."""
    files = [path for _, path in many("e2fsprogs", r"/tests/[a-z]+_[^/]+/image\.(gz|bz2)$", in_memory)]
    found = dict(zip(files, in_limits(listing, files), strict=True))
    compared = 0
    for path, told in found.items():
        if isinstance(told, dict) and is_replayed(path):
            # We read what a journal holds; debugfs does once it is written back.
            is_sound("e2fsck", "-fy", "-E", "journal_only", path)
        if isinstance(told, dict) and is_sound("e2fsck", "-fn", path):
            folder = path.with_suffix(".dump")
            folder.mkdir()
            command = ["debugfs", "-R", f"rdump / {folder}", str(path)]
            if "not open" in subprocess.run(command, capture_output=True, text=True, check=False).stderr:
                continue
            for name, (kind, size, _) in told.items():
                copy = folder / name[1:]
                # Of a file within its inode debugfs writes out all the inode's room; Linux, like its size, ends it earlier.
                if kind == 0o100000 and size < INLINE_BYTES == copy.lstat().st_size:
                    os.truncate(copy, size)
            special = {name for name, (kind, *_) in told.items() if kind not in {0o100000, 0o040000, 0o120000}}
            unread = {name for name, (kind, _, digest) in told.items() if kind == 0o100000 and len(digest) < SHA256_DIGITS}
            assert unread == unread_by_linux(path, unread, tmp_path / "mnt"), path.name
            dumped = {name: said for name, said in on_disk(folder).items() if name not in unread}
            assert {name: said for name, said in told.items() if name not in special | unread} == dumped, path.name
            compared += 1
    COUNTED["ext file systems of others, damaged ones among them"] += len(files)
    COUNTED["ext file systems of others, compared with debugfs"] += compared
    assert len(files) > 200
    assert compared > 5


def test_damaged_btrfs_do_no_harm_and_sound_ones_are_read_right(tmp_path: Path) -> None:
    """The corpus of btrfs check's own tests: disks, and dumps of metadata that its own tool makes disks of."""
    disks = []
    for name, path in many("btrfs-progs", r"/tests/fsck-tests/.*(\.raw\.xz|\.img|\.img\.xz)$", tmp_path):
        restored = path
        if ".img" in name:
            restored = path.with_suffix(".restored")
            if not is_sound("btrfs-image", "-r", path, restored):
                continue
        disks.append(restored)
    found = dict(zip(disks, in_limits(listing, disks), strict=True))
    compared = 0
    for path, told in found.items():
        folder = path.with_suffix(".dump")
        folder.mkdir()
        # A dump has no data: names and types are what can be compared.
        if (
            isinstance(told, dict)
            and is_sound("btrfs", "check", path)
            and is_sound("btrfs", "restore", "-m", "-S", "-i", path, folder)
        ):
            names = {name for name, (kind, *_) in told.items() if kind in {0o100000, 0o040000}}
            assert {name for name, (kind, *_) in on_disk(folder).items() if kind in {0o100000, 0o040000}} <= names, path.name
            compared += 1
    COUNTED["btrfs of others, damaged ones among them"] += len(disks)
    COUNTED["btrfs of others, compared with btrfs restore"] += compared
    assert len(disks) > 60
    assert compared > 2


def label_by_blkid(path: Path) -> str:
    command = ("blkid", "-p", "-s", "LABEL", "-o", "value", str(path))
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout.removesuffix("\n")


def test_file_systems_are_named_as_libblkid_names_them(tmp_path: Path) -> None:
    """Type, UUID and label of libblkid's own test images, against blkid of this machine."""
    compared = 0
    for name, path in many("util-linux", r"/tests/ts/blkid/images-fs/.*\.img\.xz$", tmp_path):
        fields = ("blkid", "-p", "-o", "export", str(path))
        told = dict(
            line.split("=", 1)
            for line in subprocess.run(fields, capture_output=True, text=True, check=False).stdout.splitlines()
            if "=" in line
        )
        with path.open("rb") as file:
            volumes = find(file, path.stat().st_size, lambda *_: None, [])
        if told.get("TYPE") not in READ:
            assert not any(volume.files for volume in volumes), name
            continue
        kinds = {volume.kind for volume in volumes}
        if kinds == {"unreadable"} and name.endswith("fat16_noheads.img.xz"):
            continue  # cut off: its boot sector tells of more sectors than there are
        assert KINDS.get(told["TYPE"], told["TYPE"]) in kinds, (name, told, kinds)
        volume = volumes[0]
        if volume.files is not None:
            assert (volume.uuid or "").lower() == told.get("UUID", "").lower(), name
            assert (volume.label or "") == label_by_blkid(path), name
        compared += 1
    COUNTED["file systems of others, compared with blkid"] += compared
    assert compared > 30


def partitions_by_sfdisk(path: Path) -> list[tuple[int, int, int]]:
    table = json.loads(run(["sfdisk", "--json", str(path)]))["partitiontable"]
    size = table.get("sectorsize", 512)
    rows = [(int(row["node"].removeprefix(str(path)).removeprefix("p")), row) for row in table["partitions"]]
    extended = {"5", "f", "85"}
    return [(number, row["start"] * size, row["size"] * size) for number, row in rows if row["type"] not in extended]


def test_partition_tables_are_read_as_sfdisk_reads_them(tmp_path: Path) -> None:
    tables = [path for _, path in many("util-linux", r"/tests/ts/blkid/images-pt/.*\.img\.xz$", tmp_path)]
    for name, path in (("go-diskfs", "partition/gpt/testdata/gpt.img"), ("go-diskfs", "partition/mbr/testdata/mbr.img"),
                       ("go-disk", "mbr/testdata/mbr.bin"), ("go-disk", "testdata/fs.bin"),
                       ("pytsk3", "test_data/tsk_volume_system.raw")):  # fmt: skip
        tables.append(
            one(name, path.lstrip("/") if "mbr/" in path else path.strip("/"), tmp_path / f"{name}-{path.replace('/', '-')}")
        )
    compared = 0
    for path in tables:
        label = subprocess.run(["sfdisk", "--json", str(path)], capture_output=True, text=True, check=False)
        if label.returncode or json.loads(label.stdout)["partitiontable"]["label"] not in {"dos", "gpt"}:
            continue
        with path.open("rb") as file:
            volumes = find(file, path.stat().st_size, lambda *_: None, [])
        found = [(one.partition.number, one.partition.offset_bytes, one.partition.size_bytes) for one in volumes]
        assert found == partitions_by_sfdisk(path), path.name
        compared += 1
    COUNTED["partition tables of others, compared with sfdisk"] += compared
    assert compared > 5


CONTAINERS = {
    **{("qemu", f"sample_images/{name}.bz2"): kind for name, kind in {
        "test-disk2vhd.vhdx": "vhdx", "iotest-dynamic-1G.vhdx": "vhdx",
        "iotest-version3.vmdk": "vmdk", "hyperv2012r2-dynamic.vhd": "vpc", "d2v-zerofilled.vhd": "vpc",
        "virtualpc-dynamic.vhd": "vpc",
        "grub_mbr.raw": "raw",
    }.items()},
    **{("qemu", f"uefi-boot-images/bios-tables-test.{name}.iso.qcow2"): "qcow2" for name in ("arm", "aarch64", "i386", "x86_64")},
    ("go-vmdk-parser", "testdata/vmdk-monolith.img"): "vmdk",
    ("go-vmdk-parser", "testdata/vmdk-streamoptimized.img"): "vmdk",
}  # fmt: skip


@pytest.mark.parametrize(("package", "member"), CONTAINERS, ids=lambda one: one.rpartition("/")[2])
def test_containers_hold_the_bytes_that_qemu_reads(package: str, member: str, tmp_path: Path) -> None:
    path, raw = one(package, member, tmp_path / "container"), tmp_path / "raw"
    run(["qemu-img", "convert", "-f", CONTAINERS[package, member], "-O", "raw", str(path), str(raw)])
    descriptor = os.open(path, os.O_RDONLY)
    try:
        header = look(descriptor, None)
        # Of Virtual PC's disks QEMU takes whole cylinders, which is what Virtual PC shows.
        beyond = header.virtual_size_bytes - raw.stat().st_size
        assert 0 <= beyond < (CYLINDER_BYTES_MAX if CONTAINERS[package, member] == "vpc" else 1)
        disk = open_disk(descriptor, header)
        with raw.open("rb") as other:
            for at in places(other.fileno(), raw.stat().st_size):
                disk.seek(at)
                other.seek(at)
                wanted = other.read(MIB)
                assert disk.read(len(wanted)) == wanted, at
    finally:
        os.close(descriptor)
    COUNTED["containers of others, compared with qemu-img"] += 1


def places(descriptor: int, size: int) -> list[int]:
    """Every MiB with data in it, and some of the holes."""
    found, at = [], 0
    while at < size:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA) // MIB * MIB
        except OSError:
            break
        found.append(at)
        at += MIB
    return found + random.Random(1).sample(range(0, size - size % MIB, MIB), min(200, size // MIB))


def judged_container(path: Path) -> str:
    """What becomes of a file as a container."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        header = look(descriptor, None)
        disk = attempt(lambda: open_disk(descriptor, header))
        if isinstance(disk, Unreadable):
            return str(disk)
        found = attempt(lambda: find(disk, header.virtual_size_bytes, lambda *_: None, []))
        return header.format if not isinstance(found, Unreadable) else str(found)
    finally:
        os.close(descriptor)


def test_containers_made_to_harm_or_of_no_known_format_do_none(tmp_path: Path) -> None:
    files = [path for _, path in many("qemu", r"/sample_images/.*\.bz2$", tmp_path)]
    files.append(one("go-vmdk-parser", "testdata/vmdk-invalid.img", tmp_path / "invalid"))
    found = in_limits(judged_container, files)
    assert len(found) == len(files) > 15
    COUNTED["containers of others, hostile ones among them"] += len(files)


@pytest.mark.parametrize("name", ["image.xfs", "image40.xfs"])
def test_xfs_of_others_is_read_as_linux_reads_it(name: str, tmp_path: Path) -> None:
    path, folder, copy = one("go-xfs-filesystem", f"xfs/testdata/{name}", tmp_path / "xfs"), tmp_path / "mnt", tmp_path / "copy"
    folder.mkdir()
    script = f"mount -t xfs -o ro,norecovery,nouuid,loop {path} {folder}; mkdir {copy}; cp -a {folder}/. {copy}"
    run(["unshare", "--mount", "sh", "-euc", script])
    told = listing(path)
    assert isinstance(told, dict)
    assert told == on_disk(copy)
    COUNTED["XFS of others, compared with Linux"] += 1


def test_ntfs_of_others_is_read_as_ntfs_3g_reads_it(tmp_path: Path) -> None:
    path = one("go-ntfs", "parser/test_data/test.ntfs.dd", tmp_path / "ntfs")
    told = listing(path)
    assert isinstance(told, dict)
    top = {line.strip() for line in run(["ntfsls", str(path)]).splitlines()} - {"."}
    assert {name[1:] for name in told if name.count("/") == 1} == top
    for name, (kind, size, digest) in told.items():
        if kind == 0o100000 and size:
            content = subprocess.run(["ntfscat", str(path), name], capture_output=True, check=True).stdout
            assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), name
    COUNTED["NTFS of others, compared with NTFS-3G"] += 1


async def test_installation_media_of_others_are_no_system_disk(tmp_path: Path) -> None:
    for name in ("9660.iso", "rockridge.iso"):
        path = one("go-diskfs", f"iso9660/testdata/{name}", tmp_path / name)
        assert item(await report_of(path), "SystemImage").code == "SystemImage.InstallationMedium"
