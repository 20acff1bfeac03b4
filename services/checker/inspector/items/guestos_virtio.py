# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether each kernel can reach a virtio disk before its root file system is mounted.

What keeps a system from starting is the disk: `virtio_blk` on `virtio_pci`, which clouds give as the system disk. The network
card (`virtio_net`) is needed once the root is mounted; a system without it starts, and nobody reaches it: a warning.
`virtio_scsi` is an alternative disk that this item does not ask for.
"""

from facts import Facts
from findings import Evidence, Item, Unreadable
from linux.drivers import DISK_VIRTIO, NETWORK_VIRTIO, Drivers, drivers

NAME = "GUESTOS.Virtio"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Look for the drivers among those built in, and in the initramfs, of every kernel that can boot."""
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
