# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a device that a configuration names is on the disk. Sources: fstab(5), kernel-parameters (root=), udev's links."""

from linux.fstab import mapper_of, named, volume_of
from volumes.volume import Volume

_OTHER_DISKS = ("/dev/sr", "/dev/fd", "/dev/cdrom", "/dev/nfs", "/dev/ram", "/dev/loop")
_OF_CONTENT = ("UUID", "LABEL")
_UNREAD = ("unreadable", "luks", "bitlocker")


def is_there(spec: str, volumes: list[Volume]) -> bool | None:
    """Whether the device that `spec` names is on the disk; None where that depends on the machine or cannot be told."""
    tag = named(spec)
    if tag is not None:
        # systemd and GRUB write PARTUUID=…/PARTNROFF=n for a neighbour of the partition named.
        return volume_of(tag[0], tag[1].split("/PARTNROFF=")[0], volumes) is not None
    if not spec.startswith("/dev/") or spec.startswith(_OTHER_DISKS):
        return None
    mapper = mapper_of(spec)
    if mapper is not None:
        return any(volume.partition.mapper == mapper for volume in volumes)
    if spec.startswith(("/dev/md", "/dev/disk/")):
        return False
    digits = spec[len(spec.rstrip("0123456789")) :]
    numbers = {volume.partition.number for volume in volumes}
    # Which letter the disk gets is the machine's choice, the partition's number is not.
    return None if not digits or int(digits[:9]) in numbers else False


def may_hold(spec: str, volumes: list[Volume]) -> bool:
    """Whether a device named by UUID or label may be one whose content could not be read: then nobody can say it is missing."""
    tag = named(spec)
    return tag is not None and tag[0] in _OF_CONTENT and any(volume.kind in _UNREAD for volume in volumes)
