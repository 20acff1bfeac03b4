# SPDX-License-Identifier: AGPL-3.0-or-later
"""Boot loaders' configurations, whichever is installed: what they start, with which initramfs and command line."""

from facts import Facts
from findings import Unreadable, attempt
from linux.boot import bls, legacy
from linux.boot.grub import Script, environment
from linux.boot.model import FILE_BYTES_MAX, Boot
from linux.places import Place, places

_GRUB_FOLDERS = ("grub", "grub2")
_LEGACY_NAMES = ("menu.lst", "grub.conf")
_SYSLINUX = ("extlinux.conf", "syslinux.cfg", "extlinux/extlinux.conf", "extlinux/syslinux.cfg", "syslinux/syslinux.cfg")
_VENDORS_MAX = 32


def boot_entries(facts: Facts) -> Boot:
    """Probe: what the boot loaders on the disk start. What could not be read is told in `unjudged`."""
    known = facts.get(places)
    if isinstance(known, Unreadable):
        raise known
    boot = Boot()
    for read in (_grub, _systemd_boot, _syslinux, _grub_legacy):
        for place in known:
            problem = attempt(lambda read=read, place=place: read(place, known, boot))  # type: ignore[misc]
            if isinstance(problem, Unreadable):
                boot.unjudged.append(f"{place.shown(place.top)}: {problem}")
    if not boot.loaders:
        boot.unjudged += [
            f"{one.shown('/')} ({one.volume.kind}) cannot be read" for one in known if one.tree is None and one.volume
        ]
    return boot


def _grub(place: Place, known: list[Place], boot: Boot) -> None:
    folders = [f"{place.top}/{name}" for name in _GRUB_FOLDERS]
    if not place.top:
        folders += [f"/EFI/{vendor}" for vendor in place.names("/EFI")[:_VENDORS_MAX]]
    variables: dict[str, str] = {}
    wants_bls = False
    for folder in folders:
        file = place.read_text(f"{folder}/grub.cfg", bytes_max=FILE_BYTES_MAX)
        if file is None:
            continue
        _name(boot, "GRUB 2")
        variables |= {"root": "", "prefix": folder, "config_directory": folder}
        variables |= environment(place.read_text(f"{folder}/grubenv"))
        script = Script(place, known, boot, variables)
        script.run(file)
        if script.wants_bls:
            wants_bls = True
    if wants_bls:
        # The entries lie in /boot, wherever the configuration that asks for them is.
        for other in known:
            if bls.entries_in(other, f"{other.top}/loader/entries", boot, variables):
                break


def _systemd_boot(place: Place, _: list[Place], boot: Boot) -> None:
    if place.top and "GRUB 2" in boot.loaders:
        return
    if place.volume is not None and place.volume.kind != "vfat" and not place.names("/EFI/systemd/drivers"):
        # systemd-boot reads with the firmware's drivers, which know FAT (UEFI 2.10, 13.3).
        lost = any(place.names(f"{place.top}{folder}") for folder in ("/loader/entries", "/EFI/Linux"))
        if lost and "GRUB 2" not in boot.loaders:
            boot.unjudged.append(
                f"{place.shown(place.top)}: boot loader entries on {place.volume.kind}, which UEFI does not read"
            )
        return
    count = bls.unified_in(place, boot)
    if "GRUB 2" not in boot.loaders:
        count += bls.entries_in(place, f"{place.top}/loader/entries", boot, {})
    if count:
        _name(boot, "systemd-boot or unified kernel images")


def _syslinux(place: Place, _: list[Place], boot: Boot) -> None:
    for name in _SYSLINUX:
        path = f"{place.top}/{name}"
        file = place.read_text(path, bytes_max=FILE_BYTES_MAX)
        if file is not None:
            _name(boot, "SYSLINUX or EXTLINUX")
            legacy.syslinux(file, path.rpartition("/")[0], place, boot)


def _grub_legacy(place: Place, known: list[Place], boot: Boot) -> None:
    if boot.loaders:
        # A menu.lst beside another loader is what Xen's pygrub read, or a remnant.
        return
    for name in _LEGACY_NAMES:
        file = place.read_text(f"{place.top}/grub/{name}", bytes_max=FILE_BYTES_MAX)
        if file is not None:
            _name(boot, "GRUB Legacy")
            legacy.menu_lst(file, place, known, boot)
            return


def _name(boot: Boot, loader: str) -> None:
    if loader not in boot.loaders:
        boot.loaders.append(loader)
