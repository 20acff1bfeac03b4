"""The images that are changed: each container, way of dividing a disk and file system, small, made the same each time.

A seed is registered by `@seed(name, …)` on a function that makes it in a folder of its own. `markers` are bytes of the faults
planted in its files: they are never changed, and as long as they are all on the disk the mutant has the faults. A module with
more seeds need only be imported by `tests/fuzz/__init__.py`.
"""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.inspector.disks import FSTAB, MIB, ROOT_UUID, Root, tool, unpack_made_by_linux
from tests.inspector.journals import Journal, Transaction, blocks_of
from tests.inspector.linux_roots import NOWHERE, grub_cfg
from tests.inspector.volumes import Lv, lvm, mbr, put

Make = Callable[[Path], Path]
_FSTAB_FAULT: Final = f"UUID={NOWHERE} /fuzz-data ext4 defaults 0 2\n"
_GRUB_FAULT: Final = "22222222-0000-4000-8000-0badf00dfa11"
_SHADOW_FAULT: Final = "fuzz-nobody::20000::::::\n"
_KEY_FAULT: Final = f"MC4CAQAwBQYDK2VwBCIEIE{'Fuzz' * 10}A=\n"
_SEARCH: Final = f"search --no-floppy --fs-uuid --set=root {_GRUB_FAULT}"
FAULTS: Final = tuple(one.encode() for one in (_FSTAB_FAULT, _SEARCH, _SHADOW_FAULT, _KEY_FAULT))
"""Four faults in four folders, each judged by another item: no change of one place makes the gate forget all of them."""
FAULTY_FILES: Final[dict[str, tuple[str, ...]]] = {
    "GUESTOS.Fstab": ("/etc/fstab",),
    "GUESTOS.Grub": ("/boot/grub/grub.cfg",),
    "SECURITY.Passwords": ("/etc/shadow", "/etc/passwd"),
    "SECURITY.Secrets": ("/home/somebody/.ssh/id_ed25519",),
}
"""The files that make each item fail: it is not `ok` as long as they are what they were."""
_FAKE_TIME: Final = "1700000000"
_PARTITIONS: Final = (
    (1, 1, "21686148-6449-6E6F-744E-656564454649"),
    (2, 2, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    (4, 8, "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"),
)
"""Of the GPT: start and size in MiB, type."""


@dataclass(frozen=True)
class Seed:
    """`make` makes the image in an empty folder.

    `repairs` names the checksums to make right; `driver` is what QEMU calls it; `read_file` reads a file of the image by other
    means than the inspector's, where there are any.
    """

    name: str
    make: Make
    markers: tuple[bytes, ...] = ()
    repairs: tuple[str, ...] = ()
    driver: str = "raw"
    read_file: Callable[[Path, str], bytes] | None = None


SEEDS: Final[dict[str, Seed]] = {}


def seed(
    name: str,
    *,
    markers: tuple[bytes, ...] = FAULTS,
    repairs: tuple[str, ...] = (),
    driver: str = "raw",
    read_file: Callable[[Path, str], bytes] | None = None,
) -> Callable[[Make], Make]:
    """Register the function as the maker of a seed."""

    def register(make: Make) -> Make:
        SEEDS[name] = Seed(name, make, markers, repairs, driver, read_file)
        return make

    return register


def build(name: str, folder: Path) -> Path:
    """Make a seed in a new folder beneath `folder`; what is not the image is removed."""
    place = folder / name
    place.mkdir()
    before = dict(os.environ)
    os.environ.update(E2FSPROGS_FAKE_TIME=_FAKE_TIME, SOURCE_DATE_EPOCH=_FAKE_TIME)
    try:
        image = SEEDS[name].make(place).rename(folder / f"{name}.img")
    finally:
        os.environ.clear()
        os.environ.update(before)
    shutil.rmtree(place)
    return image


def faulty() -> Root:
    """A Debian with the four faults."""
    # Long enough to lie in blocks of its own: inside an inode it would be in two pieces.
    key = "a key\n" * 99 + f"-----BEGIN PRIVATE KEY-----\n{_KEY_FAULT}-----END PRIVATE KEY-----\n"
    return Root(
        {
            "etc/fstab": (FSTAB + _FSTAB_FAULT).encode(),
            "boot/grub/grub.cfg": grub_cfg(search=_GRUB_FAULT).encode(),
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nfuzz-nobody:x:1000:1000::/home/somebody:/bin/sh\n",
            "etc/shadow": f"root:*:20000::::::\n{_SHADOW_FAULT}".encode(),
            "home/somebody/.ssh/id_ed25519": key.encode(),
            "home/somebody/large": bytes(range(256)) * 300,
        }
    )


def _system(folder: Path, root: Root | None = None) -> Path:
    """The files of the Debian, or of another root, as a folder."""
    top = folder / "top"
    (root or faulty()).write(top)
    for path in (top, *top.rglob("*")):
        os.utime(path, (int(_FAKE_TIME), int(_FAKE_TIME)), follow_symlinks=False)
    return top


def _said(*command: str) -> bytes:
    """Return what another reader says; one that hangs on an image says nothing."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).stdout
    except subprocess.TimeoutExpired:
        return b""


def by_debugfs(image: Path, path: str) -> bytes:
    """Read a file as e2fsprogs does; nothing where it cannot."""
    return _said("/sbin/debugfs", "-R", f"cat {path}", str(image))


def by_mtools(image: Path, path: str) -> bytes:
    """Read a file as mtools does; nothing where it cannot."""
    return _said("mtype", "-i", str(image), f"::{path}")


# --- file systems -----------------------------------------------------------------------------------------------------------


def ext(kind: str, *options: str, mib: int = 8, root: Root | None = None) -> Make:
    """Make an ext: by debugfs and not from a folder, whose order is its own file system's."""

    def make(folder: Path) -> Path:
        image, top, lines = folder / "image", _system(folder, root), []
        for one in sorted(top.rglob("*")):
            path = f"/{one.relative_to(top)}"
            if one.is_symlink():
                lines.append(f"symlink {path} {one.readlink()}")
            else:
                lines.append(f"mkdir {path}" if one.is_dir() else f"write {one} {path}")
        tool("truncate", "-s", f"{mib}M", image)
        extended = f"hash_seed={ROOT_UUID},root_owner=0:0"
        tool("mke2fs", "-q", "-t", kind, "-U", ROOT_UUID, "-L", "system", "-E", extended, *options, image)
        tool("debugfs", "-w", "-f", "-", image, stdin="\n".join(lines) + "\n")
        return image

    return make


for _name, _make in {
    "ext2": ext("ext2"),
    "ext3": ext("ext3", mib=12),
    "ext4": ext("ext4"),
    "ext4-4k": ext("ext4", "-b", "4096", "-O", "inline_data", mib=16),
}.items():
    seed(_name, read_file=by_debugfs)(_make)


@seed("ext4-journal")
def _ext4_journal(folder: Path) -> Path:
    """Its journal holds blocks of each kind as they are on the disk, and revokes some."""
    image = ext("ext4")(folder)
    inodes = re.search(rb"block (\d+)", _said("/sbin/debugfs", "-R", "imap /etc/fstab", str(image)))
    assert inodes is not None
    places = [1, 2, int(inodes[1])]
    places += [number for path in ("/", "/etc", "/etc/shadow", "/home/somebody/large") for number in blocks_of(image, path)[:4]]
    data = image.read_bytes()
    writes = [(number, data[number * 1024 : (number + 1) * 1024]) for number in places]
    Journal(image, 1024, start=1015).write(
        Transaction(writes[:-2], places[-4:]), Transaction(writes[-3:]), Transaction(writes[:2], places[-1:])
    )
    return image


@seed("xfs")
def _xfs(folder: Path) -> Path:
    image, proto = folder / "image", folder / "proto"
    proto.write_text("\n".join(["/dev/null", "0 0", "d--755 0 0", *_prototype(_system(folder)), "$"]) + "\n")
    tool("truncate", "-s", "300M", image)
    tool("mkfs.xfs", "-q", "-m", f"uuid={ROOT_UUID}", "-L", "system", "-p", proto, image)
    return image


def _prototype(folder: Path) -> list[str]:
    """The lines of a mkfs.xfs prototype for what is in `folder`."""
    lines = []
    for one in sorted(folder.iterdir()):
        if one.is_symlink():
            lines.append(f"{one.name} l--777 0 0 {one.readlink()}")
        elif one.is_dir():
            lines += [f"{one.name} d--755 0 0", *_prototype(one), "$"]
        else:
            lines.append(f"{one.name} ---{stat.S_IMODE(one.lstat().st_mode):o} 0 0 {one}")
    return lines


@seed("btrfs")
def _btrfs(folder: Path) -> Path:
    image = folder / "image"
    tool("truncate", "-s", "120M", image)
    tool("mkfs.btrfs", "-q", "-U", ROOT_UUID, "-L", "system", "--rootdir", _system(folder), image)
    return image


def made_by_linux(name: str) -> Make:
    """Take what Linux itself made: see tests/inspector/data/make.sh."""

    def make(folder: Path) -> Path:
        image = folder / "image"
        unpack_made_by_linux(name, image)
        return image

    return make


for _name in ("xfs", "xfs-dirty", "xfs-dirty-4", "btrfs", "ntfs"):
    seed(f"{_name}-by-linux", markers=())(made_by_linux(_name))


def _fat(bits: int, mib: int) -> Make:
    def make(folder: Path) -> Path:
        image = folder / "image"
        tool("truncate", "-s", f"{mib}M", image)
        tool("mkfs.vfat", "-F", str(bits), "-s", "1", "-i", "CAFE0001", "-n", "SYSTEM", "--invariant", image)
        top = _system(folder)
        for link in [one for one in top.rglob("*") if one.is_symlink()]:
            link.unlink()
        for one in sorted(top.rglob("*")):
            path = f"::{one.relative_to(top)}"
            tool("mmd", "-i", image, path) if one.is_dir() else tool("mcopy", "-i", image, "-m", one, path)
        return image

    return make


seed("fat16", read_file=by_mtools)(_fat(16, 8))
seed("fat32", read_file=by_mtools)(_fat(32, 40))


@seed("ntfs", markers=())
def _ntfs(folder: Path) -> Path:
    image, text = folder / "image", folder / "text"
    text.write_bytes(b"text of a file " * 9000)
    tool("truncate", "-s", "16M", image)
    tool("mkfs.ntfs", "-q", "-F", "-C", image)
    for number in range(40):
        tool("ntfscp", "-q", image, text, f"a rather long name of a file, {number}")
    return image


@seed("iso", markers=())
def _iso(folder: Path) -> Path:
    """A primary volume descriptor in its place: more of an ISO 9660 is not looked at."""
    image = folder / "image"
    image.write_bytes(bytes(32 * 1024) + b"\x01CD001\x01" + bytes(2041) + b"\xffCD001\x01" + bytes(30 * 1024 - 7))
    return image


# --- ways to divide a disk --------------------------------------------------------------------------------------------------


@seed("gpt", repairs=("gpt",))
def _gpt(folder: Path) -> Path:
    root, disk = ext("ext4")(folder), folder / "disk"
    rows = ["label: gpt", "label-id: 00000000-2222-4333-8444-555555555555"]
    for number, (start, size, kind) in enumerate(_PARTITIONS):
        rows.append(f"start={start}MiB, size={size}MiB, type={kind}, uuid=0000000{number}-2222-4333-8444-555555555555")
    tool("truncate", "-s", "14M", disk)
    tool("sfdisk", "-q", disk, stdin="\n".join(rows))
    esp = folder / "esp"
    tool("truncate", "-s", "2M", esp)
    tool("mkfs.vfat", "-i", "CAFE0001", "-n", "BOOTFS", "--invariant", esp)
    return put(put(disk, 2 * MIB, esp), 4 * MIB, root)


@seed("mbr")
def _mbr(folder: Path) -> Path:
    return mbr(folder / "disk", [(ext("ext4")(folder), 8)])


@seed("mbr-logical")
def _mbr_logical(folder: Path) -> Path:
    root, empty = ext("ext4")(folder), folder / "empty"
    tool("truncate", "-s", "1M", empty)
    return mbr(folder / "disk", [(empty, 1), (empty, 1), (root, 8), (empty, 1)], logical=2)


@seed("lvm", repairs=("lvm",))
def _lvm(folder: Path) -> Path:
    """Two physical volumes; the root lies on both."""
    root = ext("ext4")(folder)
    volumes = {"root": Lv(root, [(0, 0, 5), (1, 0, 3)]), "data": Lv(bytes(MIB), [(1, 3, 1)])}
    return mbr(folder / "disk", lvm(folder, "vg", [6, 5], volumes), type_="8e")


# --- containers -------------------------------------------------------------------------------------------------------------


def _container(driver: str, *options: str) -> Make:
    def make(folder: Path) -> Path:
        image = folder / "container"
        tool("qemu-img", "convert", "-O", driver, *options, _gpt(folder), image)
        return image

    return make


_KINDS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "qcow2": ("qcow2", (), ()),
    "qcow2-v2-512": ("qcow2", ("-o", "compat=0.10,cluster_size=512"), ()),
    "qcow2-zlib": ("qcow2", ("-c",), ()),
    "qcow2-zstd": ("qcow2", ("-c", "-o", "compression_type=zstd"), ()),
    "vmdk": ("vmdk", ("-o", "subformat=monolithicSparse"), ()),
    "vmdk-stream": ("vmdk", ("-o", "subformat=streamOptimized"), ()),
    "vhd": ("vpc", ("-o", "subformat=dynamic,force_size=on"), ("vhd",)),
    "vhd-fixed": ("vpc", ("-o", "subformat=fixed,force_size=on"), ("vhd",)),
    "vhdx": ("vhdx", ("-o", "subformat=dynamic,block_size=1M"), ("vhdx",)),
    "vdi": ("vdi", (), ()),
}
for _name, (_driver, _options, _repairs) in _KINDS.items():
    seed(_name, repairs=_repairs, driver=_driver)(_container(_driver, *_options))
