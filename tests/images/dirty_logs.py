"""XFS disks that were not shut cleanly, by Linux itself, and what it shows of them once it has replayed their logs.

A file system is filled and unmounted, mounted again and changed at random, and stopped in one of the ways of `STOPS`: so the disk
holds an older state, and the log what is newer. It is done by a process in a mount namespace of its own; it needs root.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from demo.partitions import run

STOPS: Final = ("flushed", "cut", "copied", "frozen")
"""`xfs_io`'s shutdown with the log written out, the same without, a copy of the disk while it is mounted, or frozen."""


@dataclass(frozen=True, slots=True)
class Disk:
    """How a file system is made, mounted, and stopped, and how many changes are made of it."""

    stop: str
    steps: int = 400
    mkfs: tuple[str, ...] = ()
    mount: tuple[str, ...] = ()
    mib: int = 320
    seed: int = 1
    before: int = 150
    syncs: int = 0
    """How often a file is written out before the disk is unmounted once: so much of the log is behind it then."""


DISKS: Final = {
    "plain": Disk("flushed"),
    "plain-cut": Disk("cut"),
    "plain-copied": Disk("copied", steps=900),
    "plain-frozen": Disk("frozen"),
    "large-buffers": Disk("copied", steps=900, mount=("logbsize=256k",)),
    "stripes": Disk("copied", mkfs=("-d", "su=64k,sw=2", "-l", "su=64k,size=64m"), mount=("logbsize=256k",), mib=640),
    "large-sectors": Disk("copied", mkfs=("-s", "size=4096")),
    "large-blocks": Disk("copied", mkfs=("-b", "size=16384"), mib=640),
    "large-inodes": Disk("copied", mkfs=("-i", "size=1024,nrext64=1", "-m", "rmapbt=1,reflink=1,bigtime=1")),
    "no-big-times": Disk("flushed", mkfs=("-m", "bigtime=0,inobtcount=0")),
    "wraps": Disk("copied", mkfs=("-d", "su=256k,sw=1", "-l", "su=256k,size=64m"), mount=("logbsize=256k",), mib=640, syncs=190),
    "many-groups": Disk("flushed", steps=1500, mkfs=("-d", "agcount=12", "-l", "size=64m"), mib=1200),
}

SMALL: Final = {
    "xfs-dirty": Disk("copied", steps=120, before=60, seed=2),
    "xfs-dirty-4": Disk("copied", steps=120, before=60, seed=4, mkfs=("-m", "crc=0", "-l", "version=1")),
}
"""What lies in tests/inspector/data. The last takes a Linux with CONFIG_XFS_SUPPORT_V4, as Debian's user-mode-linux is."""


class Changes:
    """Changes of a tree, drawn by a seed: what becomes of it is the same each time."""

    def __init__(self, top: Path, seed: int) -> None:
        self.top, self.random = top, random.Random(seed)
        self.folders, self.files = [top], list[Path]()
        self.count = 0

    def name(self) -> str:
        """Return a new name, some of them long."""
        self.count += 1
        return f"{self.count}-" + "n" * self.random.choice((1, 4, 12, 40, 120))

    def bytes(self) -> bytes:
        """Return some content."""
        return self.random.randbytes(1) * self.random.choice((1, 100, 4096, 5000, 20_000, 70_000))

    def folder(self) -> None:
        """Make a folder."""
        new = self.random.choice(self.folders) / self.name()
        new.mkdir()
        self.folders.append(new)

    def file(self) -> None:
        """Make a file."""
        new = self.random.choice(self.folders) / self.name()
        new.write_bytes(self.bytes())
        self.files.append(new)

    def files_in_one_folder(self) -> None:
        """Make many files in one folder, so that its format changes."""
        folder = self.random.choice(self.folders)
        for _ in range(self.random.choice((5, 30, 120))):
            new = folder / self.name()
            new.touch()
            self.files.append(new)

    def append(self) -> None:
        """Append to a file."""
        with self.random.choice(self.files).open("ab") as file:
            file.write(self.bytes())

    def fragment(self) -> None:
        """Make a file of many extents."""
        file = self.random.choice(self.files)
        with file.open("r+b") as opened:
            for number in range(self.random.choice((3, 25, 120))):
                opened.seek(number * 12_288)
                opened.write(b"%d" % number * 100)
                if number % 8 == 0:
                    os.fsync(opened.fileno())

    def truncate(self) -> None:
        """Cut a file, or make it longer."""
        os.truncate(self.random.choice(self.files), self.random.choice((0, 10, 4096, 9000, 200_000)))

    def allocate(self) -> None:
        """Allocate what is not written."""
        with self.random.choice(self.files).open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), self.random.choice((0, 8192)), self.random.choice((4096, 100_000)))

    def rename(self) -> None:
        """Move a file, at times over another."""
        at = self.random.randrange(len(self.files))
        over = self.random.random() < 0.3
        new = self.random.choice(self.files) if over else self.random.choice(self.folders) / self.name()
        self.files[at].rename(new)
        old = self.files.pop(at)
        if new != old and new not in self.files:
            self.files.append(new)
        elif new == old:
            self.files.append(old)

    def remove(self) -> None:
        """Remove a file."""
        self.files.pop(self.random.randrange(len(self.files))).unlink()

    def remove_folder(self) -> None:
        """Remove a folder with all in it."""
        if len(self.folders) < 6:
            return
        gone = self.folders[self.random.randrange(1, len(self.folders))]
        shutil.rmtree(gone)
        self.folders = [one for one in self.folders if one != gone and gone not in one.parents]
        self.files = [one for one in self.files if gone not in one.parents]

    def link(self) -> None:
        """Make a hard link."""
        new = self.random.choice(self.folders) / self.name()
        new.hardlink_to(self.random.choice(self.files))
        self.files.append(new)

    def symlink(self) -> None:
        """Make a symbolic link, in the inode or in a block of its own."""
        (self.random.choice(self.folders) / self.name()).symlink_to("x/" * self.random.choice((2, 60, 400)) + "y")

    def mode(self) -> None:
        """Change a file's mode and owner."""
        one = self.random.choice(self.files)
        os.chown(one, self.random.randrange(3000), self.random.randrange(3000))
        one.chmod(self.random.choice((0o600, 0o755, 0o4755, 0o2711)))

    def attribute(self) -> None:
        """Set attributes: in the inode, in a block."""
        one = self.random.choice(self.files)
        for number in range(self.random.choice((1, 3, 12))):
            name = f"{self.random.choice(('user', 'trusted'))}.attribute-{number}"
            os.setxattr(one, name, self.random.randbytes(1) * self.random.choice((1, 30, 100)))

    def remove_attributes(self) -> None:
        """Remove a file's attributes."""
        one = self.random.choice(self.files)
        for name in os.listxattr(one):
            os.removexattr(one, name)

    def device(self) -> None:
        """Make a device or a pipe."""
        new = self.random.choice(self.folders) / self.name()
        os.mknod(new, self.random.choice((stat.S_IFCHR, stat.S_IFIFO)) | 0o600, os.makedev(1, 3))

    def time(self) -> None:
        """Change a file's time."""
        os.utime(self.random.choice(self.files), (0, self.random.randrange(2**31)))

    def sync(self) -> None:
        """Write a file out, and so the log."""
        with self.random.choice(self.files).open("r+b") as opened:
            os.fsync(opened.fileno())

    def stamp(self) -> None:
        """Change a file's time, and write that out."""
        with self.files[0].open("rb") as opened:
            os.utime(opened.fileno(), (0, self.random.randrange(2**31)))
            os.fsync(opened.fileno())

    def make(self, steps: int) -> None:
        """Make so many changes."""
        kinds: dict[Callable[[], None], int] = {
            **dict.fromkeys((self.folder, self.truncate, self.symlink, self.sync), 6),
            **dict.fromkeys((self.append, self.mode, self.attribute), 10),
            **dict.fromkeys((self.allocate, self.link, self.time, self.remove_attributes), 4),
            **dict.fromkeys((self.files_in_one_folder, self.fragment, self.device), 2),
            self.file: 30,
            self.rename: 14,
            self.remove: 16,
            self.remove_folder: 1,
        }
        chosen = self.random.choices(list(kinds), list(kinds.values()), k=steps)
        for change in chosen:
            if len(self.files) < 5:
                self.file()
            elif len(self.files) > 1500:
                self.remove_folder()
                self.remove()
            else:
                change()


def shown(top: Path) -> dict[str, dict[str, object]]:
    """Return what Linux shows beneath a folder, by path."""

    def refuse(error: OSError) -> NoReturn:
        raise error

    found: dict[str, dict[str, object]] = {}
    for folder, folders, files in os.walk(top, onerror=refuse):
        for path in (Path(folder, name) for name in folders + files):
            one = path.lstat()
            said: dict[str, object] = {
                "kind": stat.S_IFMT(one.st_mode), "mode": stat.S_IMODE(one.st_mode), "uid": one.st_uid, "gid": one.st_gid,
                "inode": one.st_ino, "mtime": int(one.st_mtime),
            }  # fmt: skip
            if stat.S_ISREG(one.st_mode):
                said |= {"size": one.st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            elif stat.S_ISLNK(one.st_mode):
                said["link"] = str(path.readlink())
            if not stat.S_ISLNK(one.st_mode):
                names = os.listxattr(path)
                said["xattrs"] = {name: base64.b64encode(os.getxattr(path, name)).decode() for name in sorted(names)}
            found["/" + str(path.relative_to(top))] = said
    return found


def make(disk: Disk, image: Path) -> dict[str, dict[str, object]]:
    """Make the disk `image`, and return what Linux shows of a copy of it."""
    run(["truncate", "-s", f"{disk.mib}M", str(image)])
    run(["mkfs.xfs", "-q", "-m", "uuid=22222222-2222-4333-8444-555555555555", *disk.mkfs, str(image)])
    top, copy = image.with_suffix(".mounted"), image.with_suffix(".copy")
    top.mkdir()
    options = ",".join(("loop", *disk.mount))
    changes = Changes(top, disk.seed)
    run(["mount", "-o", options, str(image), str(top)])
    changes.make(disk.before)
    for _ in range(disk.syncs):
        changes.stamp()
    run(["umount", str(top)])
    run(["mount", "-o", options, str(image), str(top)])
    changes.make(disk.steps)
    if disk.stop == "frozen":
        run(["xfs_freeze", "-f", str(top)])
    if disk.stop in {"copied", "frozen"}:
        run(["cp", "--sparse=always", str(image), str(copy)])
    if disk.stop == "frozen":
        run(["xfs_freeze", "-u", str(top)])
    if disk.stop in {"flushed", "cut"}:
        run(["xfs_io", "-x", "-c", "shutdown -f" if disk.stop == "flushed" else "shutdown", str(top)])
    run(["umount", str(top)])
    if copy.exists():
        copy.rename(image)
    run(["cp", "--sparse=always", str(image), str(copy)])
    run(["mount", "-o", "loop", str(copy), str(top)])
    found = shown(top)
    run(["umount", str(top)])
    top.rmdir()
    copy.unlink()
    return found


if __name__ == "__main__":
    name, path = sys.argv[1:]
    Path(path).with_suffix(".json").write_text(json.dumps(make((DISKS | SMALL)[name], Path(path))))
