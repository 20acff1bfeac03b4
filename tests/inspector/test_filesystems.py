"""Each file system: every byte, link, permission and attribute against the tree it was made of, or what Linux shows of it."""

import base64
import contextlib
import hashlib
import json
import lzma
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from services.checker.adapters.malware_search import MalwareSearch
from services.checker.handlers.check_file import check_file
from tests.inspector.disks import KERNEL, MIB, OS_RELEASE, item, report_of, tool
from tests.inspector.malware import rules_of
from tests.inspector.memory import facts_of

from filesystems import open_file_system  # isort: skip
from findings import Unreadable, attempt  # isort: skip
from filesystems.base import Beside, FileSystem  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip

assert facts_of
Open = Callable[[Path], FileSystem]
DATA = Path(__file__).with_name("data")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with what file systems store in different ways."""
    top = tmp_path_factory.mktemp("source")
    noise = random.Random(3)
    for folder in ("etc", "many", "deep/a/b/c/d/e"):
        (top / folder).mkdir(parents=True)
    (top / "etc/os-release").write_text(OS_RELEASE)
    (top / "empty").write_bytes(b"")
    (top / "tiny").write_bytes(b"x")
    (top / "noise").write_bytes(noise.randbytes(700_001))
    (top / "exact").write_bytes(noise.randbytes(65_536))
    for number in range(300):
        (top / f"many/a file with a rather long name, number {number}.text").write_text(f"{number}\n")
    (top / "deep/a/b/c/d/e/ümläut-名前.txt").write_text("ä")
    (top / "deep/PLAIN.TXT").write_text("8.3")
    (top / "deep/lower.txt").write_text("8.3")
    return top


@pytest.fixture(scope="session")
def with_links(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("links") / "top"
    shutil.copytree(source, top)
    (top / "etc/short").symlink_to("../tiny")
    (top / "etc/long").symlink_to("x/" * 100 + "y")
    with (top / "sparse").open("wb") as file:
        file.seek(5 * MIB)
        file.write(b"end")
    os.link(top / "noise", top / "again")
    (top / "tiny").chmod(0o4755)
    return top


def ext(kind: str, *options: str) -> Callable[[Path, Path], None]:
    def make(path: Path, folder: Path) -> None:
        tool("truncate", "-s", "16M", path)
        tool("mke2fs", "-q", "-t", kind, *options, "-L", "system", "-d", folder, path)

    return make


def xfs(*options: str) -> Callable[[Path, Path], None]:
    def make(path: Path, folder: Path) -> None:
        tool("truncate", "-s", "300M", path)
        proto, plain = path.with_suffix(".proto"), path.with_suffix(".plain")
        shutil.copytree(folder, plain, symlinks=True)
        for one in plain.rglob("* *"):
            one.rename(one.with_name(one.name.replace(" ", "_")))
        lines = ["/dev/null", "0 0", "d--755 0 0", *_proto(plain), "$"]
        proto.write_text("\n".join(lines) + "\n")
        tool("mkfs.xfs", "-q", *options, "-L", "system", "-p", proto, path)

    return make


def _proto(folder: Path) -> list[str]:
    """The lines of a mkfs.xfs prototype for what is in `folder`, whose names must hold no spaces."""
    lines = []
    for one in sorted(folder.iterdir()):
        mode = stat.S_IMODE(one.lstat().st_mode)
        bits = ("u" if mode & 0o4000 else "-") + "-" + f"{mode & 0o777:o}"
        name = one.name
        if one.is_symlink():
            lines.append(f"{name} l--777 0 0 {one.readlink()}")
        elif one.is_dir():
            lines += [f"{name} d{bits} 0 0", *_proto(one), "$"]
        else:
            lines.append(f"{name} -{bits} 0 0 {one}")
    return lines


def btrfs(path: Path, folder: Path) -> None:
    tool("truncate", "-s", "120M", path)
    tool("mkfs.btrfs", "-q", "-L", "system", "--rootdir", folder, path)


def fat(bits: int, mib: int, *options: str) -> Callable[[Path, Path], None]:
    def make(path: Path, folder: Path) -> None:
        tool("truncate", "-s", f"{mib}M", path)
        tool("mkfs.vfat", "-F", str(bits), "-n", "SYSTEM", *options, path)
        tool("mcopy", "-i", path, "-s", "-Q", *sorted(folder.iterdir()), "::")

    return make


def ntfs(*options: str) -> Callable[[Path, Path], None]:
    def make(path: Path, folder: Path) -> None:
        tool("truncate", "-s", "24M", path)
        tool("mkfs.ntfs", "-q", "-F", "-L", "system", *options, path)
        for one in ("noise", "exact", "empty", "tiny"):
            tool("ntfscp", "-q", path, folder / one, one)

    return make


KINDS = {
    "ext4": (ext("ext4"), "ext4"),
    "ext2": (ext("ext2", "-b", "1024"), "ext4"),
    "ext3": (ext("ext3", "-I", "128"), "ext4"),
    "xfs": (xfs(), "xfs"),
    "xfs-v4": (xfs("-m", "crc=0"), "xfs"),
    "btrfs": (btrfs, "btrfs"),
    "fat12": (fat(12, 6, "-s", "8"), "vfat"),
    "fat16": (fat(16, 20), "vfat"),
    "fat32": (fat(32, 34), "vfat"),
    "fat32-512": (fat(32, 40, "-s", "1"), "vfat"),
}


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open the file system that fills a file."""
    with contextlib.ExitStack() as stack:

        def open_it(path: Path) -> FileSystem:
            files = open_file_system(Part(stack.enter_context(path.open("rb")), 0, path.stat().st_size))
            assert files is not None
            return files

        yield open_it


@pytest.mark.parametrize("name", KINDS)
def test_all_that_went_in_comes_out(source: Path, with_links: Path, tmp_path: Path, opened: Open, name: str) -> None:
    make, kind = KINDS[name]
    folder = source if kind == "vfat" else with_links
    make(tmp_path / "image", folder)
    files = opened(tmp_path / "image")
    assert (files.kind, (files.label or "").lower()) == (kind, "system")
    assert files.uuid
    found = {child.path: (child, said) for child, said in Tree(files).walk() if "lost+found" not in child.path}
    wanted = {"/" + str(one.relative_to(folder)): one for one in folder.rglob("*")}
    if kind == "xfs":
        wanted = {path.replace(" ", "_"): one for path, one in wanted.items()}
    assert found.keys() == wanted.keys()
    for path, (child, said) in found.items():
        one = wanted[path]
        if one.is_symlink():
            assert child.files.link_target(child.node) == str(one.readlink())
        elif one.is_file():
            assert (said.size, child.open().read(said.size + 1)) == (one.stat().st_size, one.read_bytes()), path
        if kind != "vfat":
            assert said.kind == stat.S_IFMT(one.lstat().st_mode)
            assert said.permissions == stat.S_IMODE(one.lstat().st_mode), path


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_the_label_of_fat_is_that_of_its_top_directory(bits: int, tmp_path: Path, opened: Open) -> None:
    """Some tools write the boot sector's copy alone; udev does not go by it, so that no fstab finds it."""
    image = tmp_path / "fat"
    tool("truncate", "-s", {12: "6M", 16: "20M", 32: "34M"}[bits], image)
    tool("mkfs.vfat", "-F", str(bits), *(("-s", "8") if bits == 12 else ()), image)
    with image.open("r+b") as file:
        file.seek(71 if bits == 32 else 43)
        file.write(b"COPY ALONE ")
    assert opened(image).label is None
    tool("mlabel", "-i", image, "::system")
    assert opened(image).label == "SYSTEM"


def test_a_file_in_steps_and_from_the_middle(with_links: Path, tmp_path: Path, opened: Open) -> None:
    for name in ("ext4", "xfs", "btrfs"):
        KINDS[name][0](tmp_path / name, with_links)
        file = Tree(opened(tmp_path / name)).find_file("/noise")
        assert file is not None
        content, wanted = file.open(), (with_links / "noise").read_bytes()
        content.seek(123_457)
        assert content.read(99_999) == wanted[123_457 : 123_457 + 99_999]
        content.seek(0)
        assert b"".join(iter(lambda content=content: content.read(7777), b"")) == wanted  # type: ignore[misc]


@pytest.mark.parametrize("name", ["xfs", "btrfs", "btrfs-snapshots"])
def test_what_linux_shows(by_linux: Callable[[str], Path], opened: Open, name: str) -> None:
    """Extents and attributes in trees, each compression, subvolumes, unwritten extents, names and links of all lengths.

    Snapshots too, with empty directories for the subvolumes that are beneath their origin alone or are gone.
    """
    wanted = json.loads(lzma.decompress((DATA / f"{name}.json.xz").read_bytes()))
    files = opened(by_linux(name))
    found = {child.path: (child, said) for child, said in Tree(files).walk()}
    assert found.keys() == wanted.keys()
    for path, said in wanted.items():
        child, own = found[path]
        assert (own.kind, own.permissions, own.uid, own.mtime) == (said["kind"], said["mode"], said["uid"], said["mtime"]), path
        if "sha256" in said:
            assert own.size == said["size"]
            assert hashlib.sha256(child.open().read(own.size)).hexdigest() == said["sha256"], path
        if "link" in said:
            assert child.files.link_target(child.node) == said["link"]
        else:
            xattrs = {key: base64.b64encode(value).decode() for key, value in child.files.xattrs(child.node).items()}
            assert xattrs == said.get("xattrs", {}), path


def test_what_ntfs_3g_shows(by_linux: Callable[[str], Path], opened: Open) -> None:
    """Folders with an index of many blocks, half of it freed, files in pieces, compressed, or in their record."""
    wanted = json.loads(lzma.decompress((DATA / "ntfs.json.xz").read_bytes()))
    files = opened(by_linux("ntfs"))
    tree = Tree(files)
    found = {child.path: (child, said) for child, said in tree.walk()}
    assert found.keys() == wanted.keys()
    for path, said in wanted.items():
        child, own = found[path]
        assert own.kind == said["kind"]
        if "sha256" in said:
            assert (own.size, own.mtime) == (said["size"], said["mtime"])
            assert hashlib.sha256(child.open().read(own.size)).hexdigest() == said["sha256"], path
    assert files.label == "Windows"
    assert tree.is_directory("/windows/SYSTEM32/Config")


async def test_a_windows_is_told_by_its_hives(by_linux: Callable[[str], Path], tmp_path: Path) -> None:
    image, hive = Path(shutil.copy(by_linux("ntfs"), tmp_path / "disk")), tmp_path / "SYSTEM"
    assert item(await report_of(image), "SystemImage").code == "SystemImage.DataOnly"
    hive.write_bytes(b"regf" + bytes(4092))
    tool("ntfscp", "-q", image, hive, "Windows/System32/config/SYSTEM")
    assert item(await report_of(image), "SystemImage").level == "ok"


async def test_a_root_in_a_subvolume_is_found_and_its_home_mounted(by_linux: Callable[[str], Path]) -> None:
    report = await report_of(by_linux("btrfs"))
    found = report.attributes
    assert (found.platform, found.kernel_version, found.architecture) == ("Debian", KERNEL, "x86_64")
    assert {item(report, name).level for name in ("Fstab", "SystemImage", "DiskFormat", "Encryption")} == {"ok"}


def test_subvolumes_by_path_and_number(by_linux: Callable[[str], Path], opened: Open) -> None:
    files = opened(by_linux("btrfs"))
    home = files.subvolume("noatime,subvol=/@home")
    assert Tree(home).names("/") == ["somebody"]
    assert Tree(files.subvolume("subvolid=5")).names("/") == ["@", "@home", "a-link-in-the-top-directory"]
    assert [Tree(one).names("/")[0] for one in files.roots()] == ["@", "bin", "somebody", "@"]

    for options in ("subvol=nowhere", "subvol=@/etc", "subvolid=4711", "subvol=a-link-in-the-top-directory"):
        with pytest.raises((Unreadable, KeyError)):
            Tree(files.subvolume(options)).names("/")


def test_what_is_beside_a_mounted_subvolume(by_linux: Callable[[str], Path], opened: Open) -> None:
    """Each of the others, alone, by its path: what is nested in the mounted one is entered from there."""
    files = opened(by_linux("btrfs-snapshots"))
    root = files.subvolume("subvol=@")
    found = {one.name: (one.is_entered, Tree(one.files).names("/")) for one in files.beside([root])}
    nested = {"@/srv/inner": ["file"], "@/srv/inner/innermost": ["file"], "@/srv/moved": ["file"]}
    assert found == {
        "": (False, ["snapshots"]),
        **{f"snapshots/{number}": (False, ["file", "moving", "srv"]) for number in range(1, 11)},
        **{name: (True, names) for name, names in nested.items()},
    }
    # Snapshots have empty folders for the subvolumes of their origin, and a mounted top level enters all there are.
    assert {one.name for one in files.beside([files.subvolume("subvolid=5")]) if one.is_entered} == found.keys() - {""} | {"@"}
    assert {one.name for one in files.beside([])} == {*found, "@"}


Beneath = Callable[[int], Iterator[tuple[int, int, str]]]
FORGED: dict[str, tuple[Beneath, str, int]] = {
    "within itself": (lambda number: iter([(number, 256, "x"), (5, 256, "x"), (257 + number % 2, 256, "x")]), "", 3),
    "one that is not there": (lambda number: iter([(4711, 256, "x"), (257, 256, "y")] if number == 5 else []), "Malformed", 2),
    "a folder that is not there": (lambda number: iter([(257, 4711, "x")] if number == 5 else []), "", 2),
    "very many": (lambda number: ((257 + one, 256, "x") for one in range(10**9 * (number == 5))), "TooManySubvolumes", 2),
}


@pytest.mark.parametrize(("beneath", "code", "count"), FORGED.values(), ids=FORGED.keys())
def test_subvolumes_that_are_forged(
    by_linux: Callable[[str], Path], opened: Open, monkeypatch: pytest.MonkeyPatch, beneath: Beneath, code: str, count: int
) -> None:
    """Those that can be read are yielded before the trouble is told."""
    files = opened(by_linux("btrfs-snapshots"))
    monkeypatch.setattr(cast("Any", files)._fs, "beneath", beneath)
    found: list[Beside] = []
    ended = attempt(lambda: found.extend(files.beside([])))
    assert len(found) >= count
    assert len({cast("Any", one.files).number for one in found}) == len(found)
    assert (ended.code if isinstance(ended, Unreadable) else "") == code


async def test_malware_is_found_beneath_every_subvolume(by_linux: Callable[[str], Path], tmp_path: Path) -> None:
    """Nested, moved and snapshots of them, none of which anything mounts."""
    rules = rules_of(tmp_path / "rules", own='rule own { strings: $a = "beneath " condition: $a at 0 }')
    descriptor = os.open(by_linux("btrfs-snapshots"), os.O_RDONLY)
    try:
        found = item(await check_file(descriptor, malware=MalwareSearch((rules,))), "Malware")
    finally:
        os.close(descriptor)
    files = {"@/file", "@/srv/inner/file", "@/srv/inner/innermost/file", "@/srv/moved/file"}
    files |= {f"snapshots/{number}/file" for number in range(1, 11)}
    assert (found.level, {(one.path or "").partition(":/")[2] for one in found.evidence}) == ("failed", files)


def test_a_small_fat32_is_one_as_for_linux(tmp_path: Path, opened: Open) -> None:
    """By the number of its clusters it would be a FAT16, for which mtools takes it."""
    tool("truncate", "-s", "12M", tmp_path / "image")
    tool("mkfs.vfat", "-F", "32", "-s", "1", tmp_path / "image")
    assert Tree(opened(tmp_path / "image")).names("/") == []


@pytest.mark.parametrize(("bits", "mib"), [(16, 20), (32, 40)])
def test_where_a_folder_of_fat_begins_has_two_words_in_fat32_alone(bits: int, mib: int, tmp_path: Path, opened: Open) -> None:
    """The higher is nothing in FAT16; in FAT32 it makes a cluster that there is not, which Linux does not read either."""
    image = tmp_path / "image"
    tool("truncate", "-s", f"{mib}M", image)
    tool("mkfs.vfat", "-F", bits, "-s", "1", image)
    tool("mmd", "-i", image, "::/FOLDER")
    (tmp_path / "file").write_text("x")
    tool("mcopy", "-i", image, tmp_path / "file", "::/FOLDER/FILE")
    data = bytearray(image.read_bytes())
    data[data.index(b"FOLDER     ") + 21] = 0x40
    image.write_bytes(data)
    tree = Tree(opened(image))
    if bits == 16:
        assert [name.lower() for name in tree.names("/FOLDER")] == ["file"]
    else:
        with pytest.raises(Unreadable, match="which there is not"):
            tree.names("/FOLDER")


NTFS_OPTIONS = {"4k": (), "512": ("-c", "512"), "64k": ("-c", "65536"), "compressed": ("-C",)}


@pytest.mark.parametrize("options", NTFS_OPTIONS.values(), ids=NTFS_OPTIONS.keys())
def test_ntfs(source: Path, tmp_path: Path, opened: Open, options: tuple[str, ...]) -> None:
    ntfs(*options)(tmp_path / "image", source)
    files = opened(tmp_path / "image")
    assert (files.kind, files.label, len(files.uuid or "")) == ("ntfs", "system", 16)
    tree = Tree(files)
    assert tree.names("/") == ["empty", "exact", "noise", "tiny"]
    for name in tree.names("/"):
        found = tree.find_file(f"/{name.upper()}")
        assert found is not None
        assert (found.stat().size, found.open().read(MIB)) == ((source / name).stat().st_size, (source / name).read_bytes())
    assert not tree.exists("/nothing")


def test_a_btrfs_with_a_log_tree_says_that_it_is_not_replayed(tmp_path: Path, source: Path, opened: Open) -> None:
    image = tmp_path / "image"
    btrfs(image, source)
    assert opened(image).unfinished is None
    with image.open("r+b") as file:
        file.seek(65536 + 96)
        file.write((1 << 20).to_bytes(8, "little"))
    files = opened(image)
    assert "log tree" in (files.unfinished or "")
    assert files.subvolume("subvolid=5").unfinished == files.unfinished
