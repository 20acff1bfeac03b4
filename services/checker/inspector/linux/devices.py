# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a device that a configuration names is on the disk. Sources: fstab(5), kernel-parameters (root=), udev's links."""

from linux.fstab import named, volume_of
from volumes.volume import Volume

_OTHER_DISKS = ("/dev/sr", "/dev/fd", "/dev/cdrom", "/dev/nfs", "/dev/ram", "/dev/loop")


def is_there(spec: str, volumes: list[Volume]) -> bool | None:
    """Whether the device that `spec` names is on the disk; None where that depends on the machine or cannot be told."""
    tag = named(spec)
    if tag is not None:
        # systemd and GRUB write PARTUUID=…/PARTNROFF=n for a neighbour of the partition named.
        return volume_of(tag[0], tag[1].split("/PARTNROFF=")[0], volumes) is not None
    if not spec.startswith("/dev/") or spec.startswith(_OTHER_DISKS):
        return None
    if spec.startswith("/dev/mapper/"):
        return _is_logical_volume(spec.removeprefix("/dev/mapper/"), volumes)
    if spec.startswith(("/dev/md", "/dev/disk/")):
        return False
    if spec.count("/") == 3:
        group, name = (part.replace("-", "--") for part in spec.split("/")[2:])
        return _is_logical_volume(f"{group}-{name}", volumes)
    digits = spec[len(spec.rstrip("0123456789")) :]
    numbers = {volume.partition.number for volume in volumes}
    # Which letter the disk gets is the machine's choice, the partition's number is not.
    return None if not digits or int(digits[:9]) in numbers else False


def _is_logical_volume(mapper: str, volumes: list[Volume]) -> bool:
    return any(volume.partition.mapper == mapper for volume in volumes)
