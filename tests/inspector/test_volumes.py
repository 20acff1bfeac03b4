"""What a disk is divided into: MBR with logical partitions, LVM, damaged GPT, encryption; joined as fstab says."""

import contextlib
import lzma
import struct
from pathlib import Path

import pytest

from tests.inspector.disks import FSTAB, KERNEL, MIB, ROOT_UUID, Root, ext4, item, report_of, tool, verdict
from tests.inspector.memory import facts_of
from tests.inspector.volumes import DISK_ID, Lv, lvm, mbr, metadata, physical_volume, put

import volumes  # isort: skip
from findings import Unreadable, attempt  # isort: skip
from part import JoinedPart, Part  # isort: skip
from volumes import lvm as reader  # isort: skip
from volumes import lvm_text  # isort: skip
from volumes.volume import Volume  # isort: skip

assert facts_of
DATA = Path(__file__).with_name("data")
BOOT_UUID = "99999999-2222-4333-8444-555555555555"


def files(path: Path, content: dict[str, bytes], *, uuid: str, label: str = "data", mib: int = 8) -> Path:
    """An ext4 file system with some files and no system in it."""
    folder = path.with_name(path.name + ".files")
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    tool("truncate", "-s", f"{mib}M", path)
    tool("mke2fs", "-q", "-t", "ext4", "-U", uuid, "-L", label, "-d", folder, path)
    return path


def found_on(path: Path) -> list[Volume]:
    with path.open("rb") as disk:
        return volumes.find(disk, path.stat().st_size, lambda *_: None, [])


@pytest.fixture(scope="session")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A /boot of its own."""
    content = {f"vmlinuz-{KERNEL}": b"kernel"}
    return files(tmp_path_factory.mktemp("boot") / "boot.ext4", content, uuid=BOOT_UUID, label="boot")


def system(path: Path, fstab: str, **more: bytes | None) -> Path:
    """A root without the kernel, which is in /boot."""
    return ext4(path, Root({"etc/fstab": fstab.encode(), f"boot/vmlinuz-{KERNEL}": None, **more}))


@pytest.mark.parametrize(
    "device",
    [
        f"UUID={BOOT_UUID}",
        "LABEL=boot",
        f"PARTUUID={DISK_ID:08x}-06",
        f"/dev/disk/by-partuuid/{DISK_ID:08X}-06",
        "/dev/vda6",
        "/dev/sda6",
    ],
)
async def test_a_boot_in_a_logical_partition_is_joined(boot: Path, tmp_path: Path, device: str) -> None:
    root = system(tmp_path / "root", f"UUID={ROOT_UUID} / ext4 defaults 0 1\n{device} /boot ext4 defaults 0 2\n")
    swap = tmp_path / "swap"
    tool("truncate", "-s", "1M", swap)
    disk = mbr(tmp_path / "disk", [(root, 8), (swap, 1), (swap, 1), (boot, 8)], logical=3)
    report = await report_of(disk)
    assert (report.attributes.kernel_version, report.attributes.os_version) == (KERNEL, "Debian 12")
    assert item(report, "Fstab").level == ("warning" if device.startswith(("/dev/v", "/dev/s")) else "ok")
    assert {item(report, name).level for name in ("SystemImage", "DiskFormat", "Encryption")} == {"ok"}
    assert [(one.partition.number, one.kind) for one in found_on(disk)] == [
        (1, "ext4"),
        (2, "unknown"),
        (5, "unknown"),
        (6, "ext4"),
    ]


async def test_a_separate_usr_with_os_release_behind_a_link(boot: Path, tmp_path: Path) -> None:
    usr = files(
        tmp_path / "usr",
        {"lib/os-release": b"ID=fedora\nVERSION_ID=41\n", "bin/env": b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\0"},
        uuid=BOOT_UUID[:-1] + "6",
    )
    mounts = {f"UUID={ROOT_UUID}": "/", f"UUID={BOOT_UUID[:-1]}6": "/usr", "LABEL=boot": "/boot"}
    fstab = "".join(f"{device} {point} ext4 defaults 0 1\n" for device, point in mounts.items())
    content = {"etc/fstab": fstab.encode(), f"boot/vmlinuz-{KERNEL}": None, "usr/bin/sh": None, "etc/os-release": None}
    root = ext4(tmp_path / "root", Root(content, {"etc/os-release": "../usr/lib/os-release"}))
    report = await report_of(mbr(tmp_path / "disk", [(boot, 8), (usr, 8), (root, 8)]))
    found = report.attributes
    assert (found.os_version, found.kernel_version, found.architecture) == ("Fedora 41", KERNEL, "x86_64")
    assert item(report, "SystemImage").value == "partition 3"


async def test_a_boot_or_data_alone_is_no_system(boot: Path, tmp_path: Path) -> None:
    data = files(tmp_path / "data", {"home/somebody/etc/fstab": b"x"}, uuid=BOOT_UUID)
    for disk in (boot, mbr(tmp_path / "disk", [(boot, 8), (data, 8)])):
        report = await report_of(disk)
        assert item(report, "SystemImage").code == "SystemImage.DataOnly"
        assert verdict(report).outcome == "blocked"


@pytest.mark.parametrize(("group", "split_at"), [("vg", 0), ("my-vg", 600)], ids=["plain", "dashes, metadata that wrap around"])
async def test_lvm_over_two_physical_volumes(tmp_path: Path, group: str, split_at: int) -> None:
    mapper = f"{group.replace('-', '--')}-root"
    fstab = f"/dev/mapper/{mapper} / ext4 rw 0 1\n/dev/{group}/home-1 /home ext4 rw 0 2\nUUID={BOOT_UUID} none swap sw 0 0\n"
    root = ext4(tmp_path / "root", Root({"etc/fstab": fstab.encode()}))
    home = files(tmp_path / "home", {"somebody/x": b"y"}, uuid="77777777-2222-4333-8444-555555555555", mib=4)
    tool("truncate", "-s", "1M", tmp_path / "swap")
    tool("mkswap", "-U", BOOT_UUID, "-L", "pages", tmp_path / "swap")
    content = {
        "root": Lv(root, [(0, 2, 3), (1, 5, 4), (0, 0, 1)]),
        "home-1": Lv(home, [(1, 1, 4)]),
        "swap": Lv(tmp_path / "swap", [(1, 0, 1)]),
    }
    pvs = lvm(tmp_path, group, [6, 10], content, split_at=split_at)
    disk = mbr(tmp_path / "disk", pvs, type_="8e")
    report = await report_of(disk)
    assert (report.attributes.os_version, report.attributes.kernel_version) == ("Debian 12", KERNEL)
    assert (item(report, "Fstab").level, item(report, "SystemImage").value) == ("ok", f"/dev/mapper/{mapper}")
    assert verdict(report).outcome == "passed"
    swap = next(one for one in found_on(disk) if one.kind == "swap")
    assert (swap.uuid, swap.label, swap.partition.mapper) == (BOOT_UUID, "pages", f"{group.replace('-', '--')}-swap")
    for line in ("/dev/mapper/vg-nothing", f"/dev/{group}/nothing", "/dev/other/root"):
        other = ext4(tmp_path / "root", Root({"etc/fstab": f"{line} / ext4 defaults 0 1\n".encode()}))
        again = lvm(tmp_path, group, [6, 10], {"root": Lv(other, content["root"].segments)})
        assert item(await report_of(mbr(tmp_path / "disk", again)), "Fstab").code == "Fstab.NoSuchDevice"


async def test_luks_in_a_logical_volume_and_bitlocker(tmp_path: Path, good_root: Path) -> None:
    (pv,) = lvm(tmp_path, "vg", [2], {"secret": Lv(b"LUKS\xba\xbe\0\2", [(0, 0, 2)])})
    report = await report_of(pv[0])
    assert item(report, "Encryption").code == "Encryption.Luks"
    assert "vg-secret" in str(item(report, "Encryption").evidence)
    locked = tmp_path / "locked"
    tool("truncate", "-s", "2M", locked)
    put(locked, 0, b"\xeb\x58\x90-FVE-FS-")
    put(locked, 510, b"\x55\xaa")
    for disk in (locked, mbr(tmp_path / "disk", [(good_root, 8), (locked, 2)])):
        report = await report_of(disk)
        assert item(report, "Encryption").code == "Encryption.BitLocker"
        assert verdict(report).outcome == "blocked"


def test_lvm_as_its_own_tools_made_it(tmp_path: Path) -> None:
    """Two physical volumes of lvm2 2.03.16: pvcreate, vgcreate -s 1M my-vg, lvcreate -L 16M -n root, -l 2 -n swap."""
    parts = []
    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(lzma.decompress((DATA / f"lvm-{name}.img.xz").read_bytes()))
            parts.append(Part(stack.enter_context((tmp_path / name).open("rb")), 0, 12 * MIB))
        found = list(reader.logical_volumes([reader.physical_volume(part) for part in parts]))
        assert [(one.mapper, one.size_bytes) for one, _ in found] == [("my--vg-root", 16 * MIB), ("my--vg-swap", 2 * MIB)]
        # By `pvdisplay --maps`: root has all 11 extents of the first and 5 of the second, swap the 2 behind them.
        root, swap = (part for _, part in found)
        assert isinstance(root, JoinedPart)
        assert isinstance(swap, JoinedPart)
        assert [(part is parts[0], at, size) for part, at, size in root.pieces] == [
            (True, MIB, 11 * MIB),
            (False, MIB, 5 * MIB),
        ]
        assert [(part is parts[0], at, size) for part, at, size in swap.pieces] == [(False, 6 * MIB, 2 * MIB)]
        lonely = list(reader.logical_volumes([reader.physical_volume(parts[0])]))
    assert [one.code for _, one in lonely if isinstance(one, Unreadable)] == ["PhysicalVolumeMissing"] * 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (('"striped"', '"thin"'), "NotLinear"),
        (("stripe_count = 1", "stripe_count = 2"), "NotLinear"),
        (("extent_count = 2", "extent_count = 4611686018427387904"), "Truncated"),
        (('"pv0", 0', '"pv0", -5'), "Truncated"),
        (('"pv0", 0', '"pv7", 0'), "LvmDamaged"),
        (("segment_count = 1", "segment_count = 1000000000"), "LvmDamaged"),
        (("extent_size = 2048", 'extent_size = "big"'), "LvmDamaged"),
        (("start_extent = 0", "start_extent = 1"), "LvmDamaged"),
        (("000000-0000", "111111-1111"), "PhysicalVolumeMissing"),
    ],
)
def test_lvm_metadata_that_lie(tmp_path: Path, change: tuple[str, str], code: str) -> None:
    text = metadata("vg", [2], {"root": Lv(b"", [(0, 0, 2)])})
    assert change[0] in text
    path = tmp_path / "pv"
    tool("truncate", "-s", "3M", path)
    put(path, 0, physical_volume(0, text.replace(*change)))
    with path.open("rb") as file:
        ((_, found),) = reader.logical_volumes([reader.physical_volume(Part(file, 0, 3 * MIB))])
    assert isinstance(found, Unreadable)
    assert found.code == code


@pytest.mark.parametrize(
    "text", ["a {", "a { b { c }", "}", "a", "a = [1, 2", "a = [", "{" * 50, "x {" * 50, 'a = "open', "é ü {", "a == 1 {"]
)
def test_lvm_text_that_makes_no_sense(text: str) -> None:
    found = attempt(lambda: lvm_text.parse(text))
    assert isinstance(found, dict) or found.code == "LvmDamaged"


@pytest.mark.parametrize("at", [16, 20, 512 + 4096 - 512, 4096 + 40, 4096 + 48, 4096 + 600])
def test_lvm_headers_that_are_damaged(tmp_path: Path, at: int) -> None:
    head = bytearray(physical_volume(0, metadata("vg", [2], {})))
    head[(at if at >= 4096 else at + 512)] ^= 0xFF
    (tmp_path / "pv").write_bytes(head)
    with (tmp_path / "pv").open("rb") as file, pytest.raises(Unreadable):
        reader.physical_volume(Part(file, 0, MIB))


def entry(kind: int, start: int, count: int) -> bytes:
    return bytes(4) + bytes([kind]) + bytes(3) + struct.pack("<II", start, count)


def record(*entries: bytes) -> bytes:
    return bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"


EBRS = {
    "leads to itself": [(2048, record(entry(0x83, 8, 8), entry(5, 0, 8)))],
    "two that chase each other": [
        (2048, record(entry(0x83, 8, 8), entry(5, 100, 8))),
        (2148, record(entry(0x83, 8, 8), entry(5, 0, 8))),
    ],
    "a thousand": [(2048 + n * 2, record(entry(0x83, 1, 1), entry(5, n * 2 + 2, 8))) for n in range(1000)],
    "beyond the disk": [(2048, record(entry(0x83, 8, 8), entry(5, 0x7FFFFFFF, 8)))],
    "a partition beyond the disk": [(2048, record(entry(0x83, 0x7FFFFFFF, 8)))],
}


@pytest.mark.parametrize("records", EBRS.values(), ids=EBRS.keys())
async def test_chains_of_logical_partitions_end(tmp_path: Path, records: list[tuple[int, bytes]]) -> None:
    disk = tmp_path / "disk"
    tool("truncate", "-s", "4M", disk)
    put(disk, 0, record(entry(5, 2048, 4096)))
    for sector, data in records:
        put(disk, sector * 512, data)
    with pytest.raises(Unreadable):
        found_on(disk)
    assert verdict(await report_of(disk)).outcome in {"blocked", "undetermined"}


async def test_a_damaged_gpt_is_read_from_its_backup(good_raw: Path, tmp_path: Path) -> None:
    for number, (at, data) in enumerate(((512, bytes(8)), (512 + 16, b"\0\1\2\3"), (1024 + 40, b"\xff" * 4))):
        disk = tmp_path / f"{number}.raw"
        disk.write_bytes(good_raw.read_bytes())
        put(disk, at, data) if any(data) else _erase(disk, at, len(data))
        report = await report_of(disk)
        assert (verdict(report).outcome, report.attributes.kernel_version) == ("passed", KERNEL)
        _erase(disk, disk.stat().st_size - 512, 512)
        assert item(await report_of(disk), "SystemImage").level == "unsupported"


def _erase(disk: Path, at: int, length: int) -> None:
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(bytes(length))


async def test_an_installation_medium_in_a_container(tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    tool("truncate", "-s", "2M", medium)
    put(medium, 0x8000, b"\x01CD001\x01")
    put(medium, 0, record(entry(0x17, 1, 100)))
    tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", medium, tmp_path / "disk.qcow2")
    report = await report_of(tmp_path / "disk.qcow2")
    assert item(report, "SystemImage").code == "SystemImage.InstallationMedium"
    assert verdict(report).outcome == "blocked"


def test_a_file_system_without_partitions_is_no_table(tmp_path: Path) -> None:
    for words in (("mkfs.vfat", "-C"), ("mkfs.ntfs", "-q", "-F")):
        disk = tmp_path / words[0]
        if words[0] == "mkfs.ntfs":
            tool("truncate", "-s", "8M", disk)
        tool(*words, disk, *(() if words[0] == "mkfs.ntfs" else ("8192",)))
        (found,) = found_on(disk)
        assert (found.partition.number, found.kind) == (0, words[0].removeprefix("mkfs."))


async def test_fstab_of_a_subvolume_that_is_not_there(tmp_path: Path) -> None:
    top = tmp_path / "top"
    Root({"etc/fstab": b"LABEL=system / btrfs subvol=@nowhere 0 0\n"}).write(top)
    tool("truncate", "-s", "120M", tmp_path / "disk")
    tool("mkfs.btrfs", "-q", "-L", "system", "--rootdir", top, tmp_path / "disk")
    assert item(await report_of(tmp_path / "disk"), "Fstab").code == "Fstab.NoSuchDevice"
    assert FSTAB
