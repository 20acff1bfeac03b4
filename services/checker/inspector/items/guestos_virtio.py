# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether each kernel can reach a virtio disk before its root file system is mounted.

What keeps a system from starting is the disk: `virtio_blk` on `virtio_pci`, which clouds give as the system disk. The network
card (`virtio_net`) is needed once the root is mounted; a system without it starts, and nobody reaches it: a warning.
`virtio_scsi` is an alternative disk that this item does not ask for. In a Windows the same drivers are viostor, which must start
with the kernel, and netkvm, which a first start can take from the driver store.
"""

from facts import Facts
from family import family_of
from findings import Evidence, Item, Unreadable
from linux.drivers import DISK_VIRTIO, NETWORK_VIRTIO, Drivers, drivers

NAME = "GUESTOS.Virtio"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Look for the drivers among those built in, and in the initramfs, of every kernel; in a Windows among its services."""
    if family_of(facts) == "windows":
        return _of_windows(facts)
    found = facts.get(drivers)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Virtio.NotReadable", advice=f"the drivers cannot be told: {found}")
    return judge_drivers(NAME, "failed", DISK_VIRTIO, found) or _judge_network(found)


def _judge_network(found: list[Drivers]) -> Item:
    for one in found:
        absent = [name for name in NETWORK_VIRTIO if one.modules is not None and name not in one.modules | one.built_in]
        if absent:
            text = f"kernel {one.kernel.release}: {', '.join(absent)} is neither built in nor among its modules"
            advice = "install the kernel's virtio modules (linux-modules-extra, kernel-modules or the like): it has no network"
            return Item(NAME, "warning", "Virtio.NoNetworkDriver", text, (Evidence(text=text),), advice)
    return Item(NAME, "ok", value=tuple(told(one, DISK_VIRTIO) for one in found))


def judge_drivers(item: str, level: str, names: tuple[str, ...], found: list[Drivers]) -> Item | None:
    """Return the judgement where a kernel lacks one of `names`, or nobody can tell; None where every kernel has them all."""
    short = item.partition(".")[2]
    lacking = [one for one in found if any(one.at_boot[name] == "absent" for name in names)]
    certain = [one for one in lacking if one.reason is None]
    if certain:
        evidence = tuple(
            Evidence(one.initramfs[0] if one.initramfs else one.kernel.path, text=told(one, names)) for one in certain
        )
        advice = (
            f"add {' and '.join(names)} to the initramfs and make it anew: a file in /etc/dracut.conf.d with add_drivers, "
            "/etc/initramfs-tools/modules, or MODULES in /etc/mkinitcpio.conf"
        )
        return Item(item, level, f"{short}.NoDriver", tuple(told(one, names) for one in certain), evidence, advice)
    if lacking:
        one = lacking[0]
        advice = f"whether kernel {one.kernel.release} has {' and '.join(names)} cannot be told: {one.reason}"
        return Item(item, "unsupported", f"{short}.NotJudged", one.kernel.release, advice=advice)
    return None


def told(one: Drivers, names: tuple[str, ...]) -> str:
    """Return in words where each of `names` is for that kernel."""
    return f"{one.kernel.release}: " + ", ".join(f"{name} {one.at_boot[name]}" for name in names)


def _of_windows(facts: Facts) -> Item:
    from windows.drivers import BOOT_START, DISK_VIRTIO, in_store, service

    disk = service(facts, DISK_VIRTIO)
    if disk is None:
        stored = in_store(facts, DISK_VIRTIO)
        where = Evidence(stored, text="only in the driver store") if stored else Evidence(text=f"no service {DISK_VIRTIO}")
        advice = f"install the virtio driver {DISK_VIRTIO} on the system before making the image: it could not reach its disk"
        return Item(NAME, "failed", "Virtio.NoDriver", f"{DISK_VIRTIO}: not installed", (where,), advice)
    if disk.file is None or disk.starts != BOOT_START:
        advice = f"reinstall the virtio driver {DISK_VIRTIO}: it must start with the kernel (Start = 0, StartOverride too)"
        return Item(NAME, "failed", "Virtio.NotAtBoot", disk.told, (disk.evidence,), advice)
    return _network_of_windows(facts, disk.told)


def _network_of_windows(facts: Facts, disk: str) -> Item:
    from windows.drivers import DISABLED, NETWORK_VIRTIO, in_store, service

    card = service(facts, NETWORK_VIRTIO)
    if card is not None and card.file is not None and card.starts not in (None, DISABLED):
        return Item(NAME, "ok", value=(disk, card.told), evidence=(card.evidence,))
    stored = in_store(facts, NETWORK_VIRTIO) if card is None or card.starts != DISABLED else None
    if stored is not None:
        return Item(NAME, "ok", value=(disk, f"{NETWORK_VIRTIO} in the driver store"), evidence=(Evidence(stored),))
    text = f"{NETWORK_VIRTIO}: not installed" if card is None else card.told
    evidence = Evidence(text=text) if card is None else card.evidence
    advice = f"install the virtio driver {NETWORK_VIRTIO}, and enable it: an instance has no network without it"
    return Item(NAME, "warning", "Virtio.NoNetworkDriver", text, (evidence,), advice)
