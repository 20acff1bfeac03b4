"""Parts of Linux systems made by hand from their documented layouts: kernels, initramfs, and disks in memory that hold them."""

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Final

import cramjam
from backports import zstd

from containers import Header
from facts import Facts
from findings import Item
from linux.fstab import mount_all
from tests.inspector.memory import File, MemoryFileSystem
from tree import Tree
from volumes.volume import Partition, Volume

ROOT: Final = "11111111-2222-4333-8444-555555555555"
BOOT: Final = "22222222-3333-4444-8555-666666666666"
ESP: Final = "CAFE-0001"
NOWHERE: Final = "0badf00d-0000-4000-8000-00000000dead"
RELEASE: Final = "6.1.0-18-amd64"
NEEDED: Final = ("block/virtio_blk", "virtio/virtio_pci", "nvme/host/nvme")
ENABLED: Final = "/etc/systemd/system/multi-user.target.wants/"
Files = Mapping[str, File | bytes | str]


def link(target: str) -> File:
    """A symbolic link."""
    return File(link=target)


def program(content: bytes | str = b"\x7fELF") -> File:
    """An executable."""
    return File(content if isinstance(content, bytes) else content.encode(), 0o755)


class Fat(MemoryFileSystem):
    """An EFI system partition: names in any case."""

    kind = "vfat"
    ignores_case = True


def machine(root: Files, *, boot: Files | None = None, esp: Files | None = None, kind: str = "ext4") -> Facts:
    """A disk of root file system (partition 3), if given /boot (2) and EFI system partition (1), mounted as the fstab says."""
    system: MemoryFileSystem = type("Root", (MemoryFileSystem,), {"kind": kind})(root, uuid=ROOT, label="system")
    if kind == "btrfs":
        system.top_level = MemoryFileSystem({f"/@/{path.strip('/')}": file for path, file in root.items()})
    volumes = [Volume(Partition(3, 3 << 30, 1 << 30, id_text="aaaa-03", name="root"), kind, ROOT, "system", system)]
    if boot is not None:
        volumes.append(Volume(Partition(2, 2 << 30, 1 << 30), "ext4", BOOT, "boot", MemoryFileSystem(boot, uuid=BOOT)))
    if esp is not None:
        volumes.append(Volume(Partition(1, 1 << 30, 1 << 30), "vfat", ESP, None, Fat(esp, uuid=ESP)))
    facts = Facts(Header("raw", 4 << 30, 4 << 30), volumes=volumes, root=volumes[0], tree=Tree(system))
    mount_all(facts)
    return facts


def bzimage(release: str = RELEASE) -> bytes:
    """The head of an x86 kernel: the magic number, and the release where the header says."""
    image = bytearray(0x4000)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = struct.pack("<H", 0x3000 - 0x200)
    image[0x3000 : 0x3000 + len(release) + 10] = release.encode() + b" (builder)"
    return bytes(image)


def arm64_image(release: str = RELEASE, *, padding: int = 3 << 20) -> bytes:
    """An arm64 Image: its magic number, and the banner far inside."""
    image = bytearray(padding)
    image[:2] = b"MZ"
    image[56:60] = b"ARM\x64"
    return bytes(image) + b"Linux version %s\0Linux version " + release.encode() + b" (builder@host) #1\0" + bytes(5000)


def zboot(payload: bytes, name: bytes) -> bytes:
    """An EFI program that unpacks the kernel in it: arm64 as Fedora builds it."""
    head = b"MZ\0\0zimg" + struct.pack("<II", 4096, len(payload)) + bytes(8) + name.ljust(32, b"\0")
    return head.ljust(4096, b"\0") + payload


def unified(**parts: bytes) -> bytes:
    """A unified kernel image with those sections."""
    offset, table, body = 1024, b"", b""
    for name, data in parts.items():
        table += (
            f".{name}".encode().ljust(8, b"\0") + struct.pack("<IIII", len(data), 0, len(data), offset + len(body)) + bytes(16)
        )
        body += data
    head = bytearray(64)
    head[:2], head[0x3C:0x40] = b"MZ", struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(parts), 0, 0, 0, 0, 0)
    return (bytes(head) + coff + table).ljust(1024, b"\0") + body


def cpio(names: Iterable[str] | Mapping[str, bytes]) -> bytes:
    """A newc archive of files with those names."""
    contents = names if isinstance(names, Mapping) else dict.fromkeys(names, b"x")
    made = b""
    for name, data in {**contents, "TRAILER!!!": b""}.items():
        raw = name.encode() + b"\0"
        fields = [1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0]
        made += b"070701" + "".join(f"{one:08X}" for one in fields).encode() + raw
        made += bytes(-len(made) % 4)
        made += data + bytes(-len(data) % 4)
    return made + bytes(-len(made) % 512)


def lz4_legacy(data: bytes) -> bytes:
    """The legacy frame: blocks of 8 MiB, each behind its packed size."""
    made = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), 8 << 20):
        packed = bytes(cramjam.lz4.compress_block(data[start : start + (8 << 20)], store_size=False))
        made += struct.pack("<I", len(packed)) + packed
    return made


PACKERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "lz4": lz4_legacy,
}


def initramfs(
    release: str = RELEASE,
    drivers: Iterable[str] = NEEDED,
    *,
    packer: str = "zstd",
    early: int = 1,
    ending: str = ".ko",
    top: str = "usr/lib/modules",
) -> bytes:
    """An initramfs: microcode in plain archives first, as often as `early` says, then the drivers."""
    names = ["bin/sh", "init", *(f"{top}/{release}/kernel/drivers/{name}{ending}" for name in drivers), "usr/bin/udevadm"]
    microcode = cpio(["kernel/x86/microcode/GenuineIntel.bin"]) + bytes(1024)
    return microcode * early + PACKERS[packer](cpio(names))


def debian(**changes: File | bytes | str | None) -> dict[str, File | bytes | str]:
    """A Debian that boots from one partition by GRUB 2; `changes` by path, None to leave a file out."""
    return with_changes(
        {
            "/etc/os-release": 'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n',
            "/etc/fstab": f"UUID={ROOT} / ext4 defaults 0 1\n",
            "/bin/sh": program(),
            f"/boot/vmlinuz-{RELEASE}": bzimage(),
            f"/boot/initrd.img-{RELEASE}": initramfs(),
            "/boot/grub/grub.cfg": grub_cfg(),
            f"/lib/modules/{RELEASE}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
            f"/lib/modules/{RELEASE}/modules.dep": "kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko\n",
        },
        **changes,
    )


def with_changes(files: Files, **changes: File | bytes | str | None) -> dict[str, File | bytes | str]:
    """The files with some changed or, for None, left out."""
    return {path: content for path, content in {**files, **changes}.items() if content is not None}


def grub_cfg(
    *,
    search: str = ROOT,
    kernel: str = f"/boot/vmlinuz-{RELEASE}",
    initrd: str = f"/boot/initrd.img-{RELEASE}",
    root: str = f"UUID={ROOT}",
    options: str = "ro quiet",
) -> str:
    """A grub.cfg in the shape that grub-mkconfig gives it; line 12 is the search, 17 the kernel, 18 the initramfs."""
    return f"""#
# It is automatically generated by grub-mkconfig using templates
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
function load_video {{
  insmod all_video
}}
set root='hd0,gpt3'
if [ x$feature_platform_search_hint = xy ]; then
  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt3 --hint-efi=hd0,gpt3  {search}
else
  search --no-floppy --fs-uuid --set=root {search}
fi
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-{ROOT}' {{
	linux	{kernel} root={root} {options}
	initrd	{initrd}
}}
if [ -f  ${{config_directory}}/custom.cfg ]; then
  source ${{config_directory}}/custom.cfg
elif [ -z "${{config_directory}}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
"""


AGENTS: Final = {
    "/usr/local/share/aliyun-assist/2.2.3.100/aliyun-service": program(),
    "/etc/systemd/system/aliyun.service": "[Service]\n",
    "/etc/systemd/system/multi-user.target.wants/aliyun.service": link("/etc/systemd/system/aliyun.service"),
    "/usr/local/aegis/aegis_client/aegis_12_01/AliYunDun": program(),
    "/etc/systemd/system/aegis.service": "[Service]\n",
    "/etc/systemd/system/multi-user.target.wants/aegis.service": link("/etc/systemd/system/aegis.service"),
}
CLOUD_INIT: Final = {
    "/usr/bin/cloud-init": program("#!/usr/bin/python3\n"),
    "/usr/lib/systemd/system-generators/cloud-init-generator": program("#!/bin/sh\n"),
    "/etc/cloud/cloud.cfg": "users:\n  - default\ncloud_init_modules:\n  - seed_random\n  - growpart\n  - resizefs\n  - [a, b]\n",
    "/usr/bin/growpart": program("#!/bin/sh\n"),
    "/usr/sbin/sfdisk": program(),
    "/usr/sbin/resize2fs": program(),
    "/usr/sbin/xfs_growfs": program(),
    "/usr/bin/btrfs": program(),
}
DHCP: Final = {"/etc/network/interfaces": "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n"}


def complete() -> dict[str, File]:
    """A Debian that no item has anything to say against; its list of modules is left out."""
    files = debian(**{f"/lib/modules/{RELEASE}/{name}": None for name in ("modules.builtin", "modules.dep")})
    whole = {**files, **AGENTS, **CLOUD_INIT, **DHCP}
    return {
        path: one if isinstance(one, File) else File(one.encode() if isinstance(one, str) else one) for path, one in whole.items()
    }


def judged(module: ModuleType, files: Files) -> Item:
    """Return what an item finds on a machine with these files; what is not in order comes with advice."""
    found: Item = module.judge(machine({"/etc/fstab": f"UUID={ROOT} / ext4 defaults 0 1\n", **files}))
    assert found.level == "ok" or found.advice
    return found


def where(found: Item) -> tuple[str | None, int | None]:
    """Return file and line of the first evidence."""
    return (found.evidence[0].path, found.evidence[0].line) if found.evidence else (None, None)
