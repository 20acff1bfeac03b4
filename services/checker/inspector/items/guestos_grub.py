# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the boot loader, whichever it is, starts what is there: its kernels, initramfs and root file system."""

from collections.abc import Iterator
from itertools import islice

from facts import Facts
from findings import EVIDENCE_MAX, Evidence, Item, Unreadable
from linux.boot import boot_entries
from linux.boot.model import Boot, Entry, Word
from linux.devices import is_there
from linux.places import Place
from volumes.volume import Volume

NAME = "GUESTOS.Grub"
FAMILIES = frozenset({"linux"})
_ADVICE = {
    "Grub.NoSuchDevice": "make the configuration anew on the system (update-grub, grub2-mkconfig or the like) so that it names "
    "the UUID of a file system of this disk",
    "Grub.NoKernel": "install the kernel that the entry starts, or make the configuration anew without it",
    "Grub.NoInitramfs": "make the initramfs (update-initramfs, dracut, mkinitcpio), or the configuration anew without it",
    "Grub.NoSuchFile": "make the configuration anew: it goes on in a file that is not there",
}


def judge(facts: Facts) -> Item:
    """Look up every device and file that the boot loader's configuration names."""
    boot = facts.get(boot_entries)
    if isinstance(boot, Unreadable):
        return Item(NAME, "unsupported", "Grub.NotReadable", advice=f"the boot loader's configuration could not be read: {boot}")
    name = ", ".join(boot.loaders)
    if not boot.loaders:
        reason = "".join(f"; {one}" for one in boot.unjudged[:3])
        advice = f"no configuration of GRUB, systemd-boot, SYSLINUX or a unified kernel image was found{reason}"
        return Item(NAME, "unsupported", "Grub.NoConfiguration", advice=advice)
    found = list(islice(_troubles(boot, facts.volumes), EVIDENCE_MAX))
    if found:
        code = found[0][0]
        return Item(NAME, "failed", code, name, tuple(evidence for _, evidence in found), _ADVICE[code])
    return _without_trouble(boot, name, facts.volumes)


def _without_trouble(boot: Boot, name: str, volumes: list[Volume]) -> Item:
    kernels = [entry for entry in boot.entries if entry.kernel is not None]
    unjudged = boot.unjudged + [
        f"{entry.title[:80]}: where it starts from cannot be read" for entry in kernels if not _read(entry)
    ]
    if unjudged:
        return Item(NAME, "unsupported", "Grub.NotJudged", name, advice=f"what it starts cannot be told: {unjudged[0]}")
    if not kernels:
        return Item(NAME, "failed", "Grub.NoEntry", name, advice="the configuration starts no kernel: make it anew on the system")
    by_name = tuple(islice(_by_kernel_name(kernels, volumes), EVIDENCE_MAX))
    if by_name:
        advice = "kernel names of disks change with the machine: have root= name the UUID of the file system"
        return Item(NAME, "warning", "Grub.KernelName", name, by_name, advice)
    shown = tuple(_where(entry.kernel) for entry in kernels[:EVIDENCE_MAX] if entry.kernel is not None)
    return Item(NAME, "ok", value=name, evidence=shown)


def _troubles(boot: Boot, volumes: list[Volume]) -> Iterator[tuple[str, Evidence]]:
    for word in boot.devices:
        if is_there(word.text, volumes) is False:
            yield "Grub.NoSuchDevice", _where(word)
    for word, place in boot.files:
        if _is_absent(word, place):
            yield "Grub.NoSuchFile", _where(word)
    for entry in boot.entries:
        if entry.kernel is not None and _is_absent(entry.kernel, entry.place):
            yield "Grub.NoKernel", _where(entry.kernel)
        for word in entry.initramfs:
            if _is_absent(word, entry.place):
                yield "Grub.NoInitramfs", _where(word)
        root = entry.option("root")
        if root and entry.options is not None and is_there(root, volumes) is False:
            yield "Grub.NoSuchDevice", _where(entry.options)


def _is_absent(word: Word, place: Place | None) -> bool:
    return place is not None and place.tree is not None and place.find(word.text) is None


def _read(entry: Entry) -> bool:
    return entry.place is not None and entry.place.tree is not None


def _where(word: Word) -> Evidence:
    return word.file.evidence(word.line)


def _by_kernel_name(entries: list[Entry], volumes: list[Volume]) -> Iterator[Evidence]:
    for entry in entries:
        root = entry.option("root") or ""
        if root.startswith("/dev/") and entry.options is not None and is_there(root, volumes) is None:
            yield _where(entry.options)
