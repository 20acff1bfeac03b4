# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which drivers a kernel has before its root file system is mounted: built in, or in its initramfs.

Sources: modules.builtin and modules.dep (Linux, Documentation/kbuild/kbuild.rst; depmod(8)), the kernel's configuration file.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from facts import Facts
from findings import Unreadable, attempt
from linux.boot import boot_entries
from linux.boot.model import Boot
from linux.compression import Budget, Source
from linux.initramfs import members
from linux.kernels import Kernel, kernels, unpacking
from linux.pe import sections
from linux.places import Place
from tree import Found, Tree

DISK_VIRTIO = ("virtio_blk", "virtio_pci")
DISK_NVME = ("nvme",)
NETWORK_VIRTIO = ("virtio_net",)
_OPTIONS = {
    "virtio_blk": "CONFIG_VIRTIO_BLK",
    "virtio_pci": "CONFIG_VIRTIO_PCI",
    "virtio_net": "CONFIG_VIRTIO_NET",
    "nvme": "CONFIG_BLK_DEV_NVME",
}
_WANTED = frozenset(_OPTIONS)
_AT_BOOT = frozenset(DISK_VIRTIO + DISK_NVME)
_LIST_BYTES_MAX = 4 * 2**20
_INITRAMFS_NAMES = (
    "initrd.img-{}",
    "initramfs-{}.img",
    "initrd-{}",
    "initramfs-{}",
    "initrd-{}.img",
    "initramfs-genkernel-{}",
)
_MODULE_ENDINGS = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")

Where = Literal["built in", "initramfs", "absent"]


@dataclass(frozen=True, slots=True)
class Drivers:
    """What is known of one kernel: where each driver is, which initramfs was looked into, what could not be told and why.

    `modules` are the drivers among the modules of the root file system, None where there is no list of them.
    """

    kernel: Kernel
    at_boot: dict[str, Where]
    initramfs: tuple[str, ...]
    built_in: frozenset[str]
    modules: frozenset[str] | None
    reason: Unreadable | None = None


def drivers(facts: Facts) -> list[Drivers]:
    """Probe: the drivers of each kernel, oldest kernel first. Raises `Unreadable` where there is no kernel."""
    found, budget = facts.get(kernels), facts.get(unpacking)
    if isinstance(found, Unreadable):
        raise found
    if isinstance(budget, Unreadable):
        raise budget
    if not found:
        raise Unreadable("NoKernel", "no kernel was found")
    return [_of(facts, kernel, budget) for kernel in found]


def _of(facts: Facts, kernel: Kernel, budget: Budget) -> Drivers:
    tree = facts.files()
    built_in = _built_in(tree, kernel) | _configured(tree, kernel)
    modules = _modules(tree, kernel.release)
    missing = _AT_BOOT - built_in
    reason: Unreadable | None = None
    there: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    if missing:
        images = attempt(lambda: _initramfs_of(facts, kernel))
        if isinstance(images, Unreadable):
            reason = images
        else:
            paths = tuple(path for path, _ in images)
            for _, image in images:
                one = attempt(partial(_in_initramfs, image, kernel, missing - there, budget))
                if isinstance(one, Unreadable):
                    reason = reason or one
                else:
                    there |= one
    at_boot: dict[str, Where] = {
        name: "built in" if name in built_in else "initramfs" if name in there else "absent" for name in sorted(_AT_BOOT)
    }
    return Drivers(kernel, at_boot, paths, built_in, modules, reason)


def _module(path: str) -> str | None:
    """Return the module's name if `path` is one, as the kernel spells it."""
    name = path.rpartition("/")[2]
    for ending in _MODULE_ENDINGS:
        if name.endswith(ending):
            return name.removesuffix(ending).replace("-", "_")
    return None


def _built_in(tree: Tree, kernel: Kernel) -> frozenset[str]:
    file = tree.read_text(f"/lib/modules/{kernel.release}/modules.builtin", bytes_max=_LIST_BYTES_MAX)
    return frozenset() if file is None else _WANTED.intersection(filter(None, map(_module, file.lines)))


def _configured(tree: Tree, kernel: Kernel) -> frozenset[str]:
    paths = [f"/boot/config-{kernel.release}", f"/lib/modules/{kernel.release}/config"]
    if kernel.name.startswith("vmlinuz-"):
        paths.append(f"/boot/config-{kernel.name.removeprefix('vmlinuz-')}")
    for path in paths:
        file = tree.read_text(path, bytes_max=_LIST_BYTES_MAX)
        if file is not None:
            lines = frozenset(file.lines)
            return frozenset(name for name, option in _OPTIONS.items() if f"{option}=y" in lines)
    return frozenset()


def _modules(tree: Tree, release: str) -> frozenset[str] | None:
    file = tree.read_text(f"/lib/modules/{release}/modules.dep", bytes_max=_LIST_BYTES_MAX)
    if file is None:
        return None
    return _WANTED.intersection(filter(None, (_module(line.partition(":")[0]) for line in file.lines)))


def _initramfs_of(facts: Facts, kernel: Kernel) -> list[tuple[str, Source]]:
    """Return what the loader gives the kernel, else what lies beside it under a name that distributions use."""
    budget = facts.get(unpacking)
    if isinstance(budget, Unreadable):
        raise budget
    if kernel.place is None or kernel.found is None:
        raise Unreadable("KernelNotReached", "the kernel that the boot loader starts lies where it cannot be read")
    if kernel.unified:
        section = sections(kernel.found).get(".initrd")
        if section is None:
            return []
        return [(kernel.path or "", Source(kernel.found.open(), budget, offset=section.offset, length=section.length))]
    found = _by_loader(facts, kernel.found) or _by_name(kernel, kernel.place)
    return [(path, Source(image.open(), budget)) for path, image in found]


def _by_loader(facts: Facts, image: Found) -> list[tuple[str, Found]]:
    boot = facts.get(boot_entries)
    if not isinstance(boot, Boot):
        return []
    for entry in boot.entries:
        found = entry.place.find(entry.kernel.text) if entry.place is not None and entry.kernel is not None else None
        if found is None or not _same(found, image) or entry.place is None:
            continue
        images = [(entry.place.shown(one.text), entry.place.find(one.text)) for one in entry.initramfs]
        there = [(path, one) for path, one in images if one is not None]
        if there:
            return there
    return []


def _same(one: Found, other: Found) -> bool:
    return one.files is other.files and one.files.identity(one.node) == other.files.identity(other.node)


def _by_name(kernel: Kernel, place: Place) -> list[tuple[str, Found]]:
    folder = kernel.found.path.rpartition("/")[0] if kernel.found is not None else place.top
    names = [f"{folder}/{form.format(kernel.release)}" for form in _INITRAMFS_NAMES]
    if "-" in kernel.name:
        # Arch and Alpine name both by the flavour: vmlinuz-lts, initramfs-lts.
        suffix = kernel.name.partition("-")[2]
        names += [f"{folder}/{form.format(suffix)}" for form in _INITRAMFS_NAMES]
    names += [f"{folder}/initrd", f"{folder}/initrd.img"]
    for path in names:
        found = place.find(path)
        if found is not None:
            return [(place.shown(path), found)]
    return []


def _in_initramfs(image: Source, kernel: Kernel, missing: frozenset[str], budget: Budget) -> frozenset[str]:
    """Return which of `missing` are in the initramfs; what is built in is listed there too. Ends once it has them all."""
    found: set[str] = set()
    folder = f"lib/modules/{kernel.release}/"
    for member in members(image, budget, contents=frozenset({"modules.builtin"})):
        path = member.path.removeprefix("usr/")
        if not path.startswith(folder):
            continue
        if member.content:
            found.update(filter(None, map(_module, member.content.decode(errors="replace").split("\n"))))
        elif (name := _module(path)) is not None:
            found.add(name)
        if missing <= found:
            break
    return missing & found
