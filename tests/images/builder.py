"""How a disk is made of a root, as an installer does it: `python -m tests.images.builder NAME ROOT DISK`.

File systems are made and mounted over loop devices. No partition is scanned and no device mapper is asked: each partition and
logical volume is a loop device at its offset. The work is done by a process in a mount namespace of its own, so that nothing
stays mounted; it needs root.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

from demo.partitions import MIB, run
from tests.images.loaders import LOADERS
from tests.images.machines import MACHINES

if TYPE_CHECKING:
    from tests.images.machines import Machine, Part

GROUP: Final = "system"
_LVM: Final = (
    "--driverloaded",
    "n",
    "--nolocking",
    "--config",
    'backup {backup=0 archive=0} devices {use_devicesfile=0 scan=["/run/parts"]}',
)


@dataclass
class Builder:
    """A disk in the making. `devices` are mount points' devices; `names` is what fstab calls them."""

    name: str
    machine: Machine
    disk: Path
    top: Path
    stack: ExitStack
    devices: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    nodes: Path = Path("/run/parts")

    def build(self, tar: Path) -> None:
        """Make the whole disk."""
        run(["mount", "-t", "tmpfs", "tmpfs", "/run"])  # of this mount namespace alone
        self.nodes.mkdir()
        for part, offset in zip(self.machine.parts, self._partition(), strict=True):
            if part.made == "lvm":
                self._make_group(part, offset)
            elif part.made:
                self._make(part, offset * MIB)
        for point in sorted(self.devices):
            if self.kinds[point] != "vfat":
                self._mount(point)
        run(["tar", "--extract", "--file", str(tar), "--directory", str(self.top), "--numeric-owner", "--exclude=./dev/*"])
        self._write_fstab()
        self._enter()
        LOADERS[self.machine.loader](self)
        self._leave()

    def _partition(self) -> list[int]:
        """Write the partition table, return where each partition starts, in MiB."""
        dos, at, starts = self.machine.label == "dos", 1, []
        rows = [f"label: {self.machine.label}", f"label-id: {'0x1badcafe' if dos else uuid5(NAMESPACE_URL, self.name)}"]
        logical = [part.mib + 1 for part in self.machine.parts if part.logical]
        for number, part in enumerate(self.machine.parts, start=1):
            if part.logical and sum(logical):
                rows.append(f"start={at}MiB, size={sum(logical) + 1}MiB, type=5")
                logical = []
            at += part.logical
            active = ", bootable" if dos and number == 1 else ""
            rows.append(f"start={at}MiB, size={part.mib}MiB, type={part.type}{active}")
            starts.append(at)
            at += part.mib
        run(["truncate", "-s", f"{at + 2}M", str(self.disk)])
        run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(self.disk)], stdin="\n".join(rows) + "\n")
        return starts

    def _attach(self, offset: int, size: int) -> str:
        command = ["losetup", "--find", "--show", "--offset", str(offset), "--sizelimit", str(size), str(self.disk)]
        loop = run(command).strip()
        self.stack.callback(run, ["losetup", "--detach", loop])
        # By another name: GRUB's tools take what is called loop for the file behind it, which the new system does not have.
        device = self.nodes / loop.rpartition("/")[2].replace("loop", "part")
        run(["cp", "-a", loop, str(device)])
        return str(device)

    def _make(self, part: Part, offset: int) -> None:
        device = self._attach(offset, part.mib * MIB)
        uuid = str(uuid5(NAMESPACE_URL, f"{self.name} {part.mount} {part.name}"))
        match part.made:
            case "vfat":
                serial = uuid[:8].upper()
                run(
                    [
                        "mkfs.vfat",
                        "-F",
                        "32",
                        "-s",
                        "1",
                        "-i",
                        serial,
                        "-n",
                        "ESP",
                        "-C",
                        str(self._esp_file()),
                        str(part.mib * 1024),
                    ]
                )
                uuid = f"{serial[:4]}-{serial[4:]}"
            case "xfs":
                run(["mkfs.xfs", "-q", "-m", f"uuid={uuid}", device])
            case "btrfs":
                run(["mkfs.btrfs", "--quiet", "--uuid", uuid, device])
            case kind:
                run(["mke2fs", "-q", "-t", kind, "-U", uuid, device])
        for subvolume, point in part.subvolumes:
            self._make_subvolume(device, subvolume)
            self.options[point] = f"subvol={subvolume},compress=zstd"
        for point in [one for _, one in part.subvolumes] or [part.mount or ""]:
            self.devices[point], self.uuids[point], self.kinds[point] = device, uuid, part.made
            self.offsets[point] = offset
            self.names[point] = f"/dev/mapper/{GROUP}-{part.name.replace('-', '--')}" if part.name else f"UUID={uuid}"

    def _make_subvolume(self, device: str, name: str) -> None:
        run(["mount", "-t", "btrfs", device, str(self.top)])
        run(["btrfs", "subvolume", "create", str(self.top / name)])
        run(["umount", str(self.top)])

    def _make_group(self, part: Part, offset: int) -> None:
        device = self._attach(offset * MIB, part.mib * MIB)
        run(["lvm", "pvcreate", *_LVM, "--quiet", device])
        run(["lvm", "vgcreate", *_LVM, "--quiet", GROUP, device])
        for volume in part.volumes:
            run(["lvm", "lvcreate", *_LVM, "-an", "-Zn", "-Wn", "-L", f"{volume.mib}M", "-n", volume.name, GROUP])
        (start,) = _reported("pvs", "pe_start", device)
        (extent,) = _reported("vgs", "vg_extent_size", GROUP)
        for volume in part.volumes:
            (ranges,) = _reported("lvs", "seg_pe_ranges", f"{GROUP}/{volume.name}")
            first = int(ranges.rpartition(":")[2].partition("-")[0])
            self._make(volume, offset * MIB + int(start) + first * int(extent))

    def _mount(self, point: str) -> None:
        where = self.top / point.strip("/")
        where.mkdir(parents=True, exist_ok=True)
        options = ["-o", self.options[point]] if point in self.options else []
        run(["mount", *options, self.devices[point], str(where)])
        self.stack.callback(run, ["umount", str(where)])

    def _write_fstab(self) -> None:
        lines = ["# <file system> <mount point> <type> <options> <dump> <pass>"]
        for point in sorted(self.devices):
            options = self.options.get(point) or {"vfat": "umask=0077"}.get(self.kinds[point], "defaults")
            lines.append(f"{self.names[point]} {point} {self.kinds[point]} {options} 0 {1 if point == '/' else 2}")
        (self.top / "etc/fstab").write_text("\n".join([*lines, "tmpfs /tmp tmpfs nosuid,nodev 0 0", ""]))

    def _enter(self) -> None:
        """Give the new system what its tools look at: /proc, /sys, and a /dev with the disks' names."""
        system = [("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "dev"), ("tmpfs", "run")]
        for kind, where in system + [("tmpfs", point.strip("/")) for point, kind in self.kinds.items() if kind == "vfat"]:
            (self.top / where).mkdir(parents=True, exist_ok=True)
            run(["mount", "-t", kind, kind, str(self.top / where)])
            self.stack.callback(run, ["umount", str(self.top / where)])
        dev = self.top / "dev"
        (dev / "disk/by-uuid").mkdir(parents=True)
        run(["cp", "-a", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", str(dev)])
        run(["cp", "-a", str(self.nodes), str(self.top / "run")])
        for point, device in self.devices.items():
            (dev / "disk/by-uuid" / self.uuids[point]).unlink(missing_ok=True)
            (dev / "disk/by-uuid" / self.uuids[point]).symlink_to(device)

    def _esp_file(self) -> Path:
        return self.disk.with_suffix(".esp")

    def inside(self, *command: str) -> str:
        """Run a command in the new system."""
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
        return run(["chroot", str(self.top), *quiet, *command])

    def _leave(self) -> None:
        """Take what the tools left, and move what they put on the EFI system partition there: not every kernel mounts FAT."""
        for point in (point for point, kind in self.kinds.items() if kind == "vfat"):
            for one in sorted((self.top / point.strip("/")).iterdir()):
                run(["mcopy", "-i", str(self._esp_file()), "-s", "-Q", str(one), "::"])
            run(["dd", f"if={self._esp_file()}", f"of={self.devices[point]}", "bs=1M", "status=none"])
            self._esp_file().unlink()
        for folder in ("tmp", "var/tmp", "var/cache/debconf"):
            for left in (self.top / folder).iterdir():
                run(["rm", "-rf", str(left)])

    def release(self) -> str:
        """Return the release of the kernel that is installed."""
        (kernel,) = (self.top / "boot").glob("vmlinuz-*")
        return kernel.name.removeprefix("vmlinuz-")

    def root_argument(self) -> str:
        """Return what `root=` is given."""
        return self.names["/"]


def _reported(command: str, fields: str, what: str) -> list[str]:
    told = json.loads(run(["lvm", command, *_LVM, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields, what]))
    (report,) = told["report"]
    return [str(row[fields]) for rows in report.values() for row in rows]


def main(name: str, tar: str, path: str) -> None:
    """Make one disk."""
    top = Path(path).with_suffix(".root")
    top.mkdir(exist_ok=True)
    Path(path).unlink(missing_ok=True)
    with ExitStack() as stack:
        builder = Builder(name, MACHINES[name], Path(path), top, stack)
        builder.build(Path(tar))
    top.rmdir()
    told = {point: (offset, builder.options.get(point, "")) for point, offset in builder.offsets.items()}
    Path(path).with_suffix(".places").write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
