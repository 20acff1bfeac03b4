# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where what boots can lie: the root file system, a separate /boot, the EFI system partition, mounted by fstab or not.

A boot loader knows file systems and not mounts: paths in its configuration count from the top of one of them.
"""

from dataclasses import dataclass

from facts import Facts
from findings import FileText
from tree import FILE_BYTES_MAX, Found, Tree
from volumes.volume import Volume

_PLACES_MAX = 16
_BOOT_MOUNTS = ("/boot", "/boot/efi", "/boot/firmware", "/efi", "/esp")
_TOP_LEVEL = "subvolid=5"


@dataclass(frozen=True, slots=True)
class Place:
    """A file system that can hold what boots; `top` is where in it the folder lies that a running system calls /boot.

    `mount` is where the running system has it, None where fstab does not mount it; `tree` is None where it cannot be read.
    """

    volume: Volume | None
    tree: Tree | None
    top: str
    mount: str | None

    def shown(self, path: str) -> str:
        """Return what the running system calls `path`."""
        path = "/" + path.lstrip("/")
        if self.mount is not None:
            return self.mount.rstrip("/") + path
        return path if self.volume is None else f"{self.volume.partition.shown}:{path}"

    def find(self, path: str) -> Found | None:
        """Return the regular file that a boot loader calls `path` here."""
        found = None if self.tree is None else self.tree.find_file(path)
        if found is None and self.tree is not None and self.tree.root.kind == "btrfs":
            # GRUB counts from the top level of btrfs, SUSE's from the default subvolume; the tree may begin in any other.
            return Tree(self.tree.root.subvolume(_TOP_LEVEL)).find_file(path)
        return found

    def read_text(self, path: str, *, bytes_max: int = FILE_BYTES_MAX) -> FileText | None:
        """Return the small file at `path`, its own path as the running system sees it."""
        file = None if self.tree is None else self.tree.read_text(path, bytes_max=bytes_max)
        if file is not None:
            file.path = self.shown(file.path)
        return file

    def names(self, folder: str) -> list[str]:
        """Return the names in `folder`, none where there is none."""
        return [] if self.tree is None else self.tree.names(folder)


def places(facts: Facts) -> list[Place]:
    """Probe: where what boots can lie, the root file system first."""
    tree = facts.files()
    mounts = {path: files for path, files in tree.file_systems.items() if path == "/" or path in _BOOT_MOUNTS}
    found = [Place(facts.root, Tree(tree.root), "/boot", "/")]
    seen = {id(facts.root)}
    for path, files in mounts.items():
        if path != "/":
            volume = next((one for one in facts.volumes if one.files is files or (one.uuid and one.uuid == files.uuid)), None)
            seen.add(id(volume))
            found.append(Place(volume, Tree(files), "", path))
    elsewhere = {id(files) for files in tree.file_systems.values()}
    rest = [one for one in facts.volumes if id(one) not in seen and (one.files is None or id(one.files) not in elsewhere)]
    found += [Place(volume, None if volume.files is None else Tree(volume.files), "", None) for volume in rest]
    return found[:_PLACES_MAX]
