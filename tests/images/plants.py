"""Faults planted into a copy of a real disk, each by the shell commands of an administrator's mistake; and how it is judged.

`Plant.run` works in the mounted root file system, `Plant.esp` on the EFI system partition by mtools. Plants of one round go into
one copy: no two of a round are about the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from demo.image import NO_SUCH_UUID
from demo.partitions import copy_disk, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.images.machines import Place

_SUDO: Final = (
    "useradd --root $PWD --create-home --shell /bin/bash vendor; echo 'vendor ALL=(ALL) NOPASSWD: ALL' > etc/sudoers.d/vendor"
)
_HASHED: Final = "chroot . sh -c 'echo {0} | chpasswd -c SHA512'"
_AGENT: Final = (
    "mkdir -p usr/local/share/aliyun-assist/2.2 usr/local/aegis/aegis_client/aegis_11;"
    " cp usr/bin/true usr/local/share/aliyun-assist/2.2/aliyun-service;"
    " cp usr/bin/true usr/local/aegis/aegis_client/aegis_11/AliYunDun;"
    " for one in aliyun aegis; do printf '[Service]\\nExecStart=/bin/true\\n' > etc/systemd/system/$one.service;"
    " ln -s /etc/systemd/system/$one.service etc/systemd/system/multi-user.target.wants/$one.service; done"
)
_EMPTY_INITRAMFS: Final = "echo init | cpio --quiet -o -H newc | gzip > $(ls boot/initrd.img-*)"
_PACKED_EICAR: Final = (
    r"printf '%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR' '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*' > srv/x.com;"
    " tar -C srv -czf srv/a.tgz x.com; rm srv/x.com"
)


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault: the item it is about, level and code that it must have, commands, and where it must be found.

    `place` is the evidence's path and a text in its line, None where there is no line to find. A place of None asks for none:
    what is missing lies nowhere.
    """

    item: str
    level: str
    code: str | None
    run: str = ""
    place: tuple[str, str | None] | None = None
    esp: tuple[tuple[str, ...], ...] = ()


GRUB_ROUNDS: Final = {
    "usual mistakes": (
        Plant(
            "Fstab",
            "failed",
            "Fstab.NoSuchDevice",
            f"sed -i 's|^UUID=[^ ]* / |UUID={NO_SUCH_UUID} / |' etc/fstab",
            ("/etc/fstab", f"UUID={NO_SUCH_UUID} / "),
        ),
        Plant(
            "Dhcp",
            "warning",
            "Dhcp.StaticAddress",
            "printf 'network:\\n  ethernets:\\n    eth0:\\n      addresses: [192.0.2.7/24]\\n' > etc/netplan/60-static.yaml",
            ("/etc/netplan/60-static.yaml", "      addresses:"),
        ),
        Plant(
            "RtcTimeMode",
            "warning",
            "RtcTimeMode.LocalTime",
            "printf '0 0 0\\n0\\nLOCAL\\n' > etc/adjtime",
            ("/etc/adjtime", "LOCAL"),
        ),
        Plant(
            "Selinux",
            "warning",
            "Selinux.Enforcing",
            "mkdir -p etc/selinux; printf '# mode\\nSELINUX=enforcing\\n' > etc/selinux/config",
            ("/etc/selinux/config", "SELINUX="),
        ),
        Plant("OnlineResizeFS", "warning", "OnlineResizeFS.NoGrowpart", "rm usr/bin/growpart"),
        Plant("Passwords", "failed", "Passwords.Guessable", _HASHED.format("root:root"), ("/etc/shadow", None)),
        Plant(
            "Secrets",
            "failed",
            "Secrets.PrivateKey",
            "mkdir -p root/.ssh; ssh-keygen -q -t ed25519 -N '' -f root/.ssh/id_ed25519",
            ("/root/.ssh/id_ed25519", None),
        ),
        Plant(
            "RemoteAccess",
            "warning",
            "RemoteAccess.RootLogin",
            "printf '# open\\nPermitRootLogin yes\\n' > etc/ssh/sshd_config.d/10-root.conf",
            ("/etc/ssh/sshd_config.d/10-root.conf", "PermitRootLogin"),
        ),
        Plant("Privileges", "warning", "Privileges.NoPackage", "cp usr/bin/su opt/su; chmod 4755 opt/su", ("/opt/su", None)),
        Plant("CloudAssistant", "ok", None, _AGENT),
        Plant("SecurityCenterAgent", "ok", None),
    ),
    "what may fail and what is left": (
        Plant(
            "Fstab",
            "warning",
            "Fstab.NoSuchDeviceNofail",
            f"echo 'UUID={NO_SUCH_UUID} /data xfs nofail 0 2' >> etc/fstab",
            ("/etc/fstab", f"UUID={NO_SUCH_UUID} /data"),
        ),
        Plant(
            "Grub",
            "failed",
            "Grub.NoSuchDevice",
            f"sed -i 's|root=UUID=[^ ]*|root=UUID={NO_SUCH_UUID}|' boot/grub/grub.cfg",
            ("/boot/grub/grub.cfg", "\tlinux"),
        ),
        Plant(
            "CloudInit",
            "warning",
            "CloudInit.Disabled",
            "touch etc/cloud/cloud-init.disabled",
            ("/etc/cloud/cloud-init.disabled", None),
        ),
        Plant("Passwords", "failed", "Passwords.Empty", "chroot . passwd --quiet --delete root", ("/etc/shadow", "root")),
        Plant(
            "Secrets",
            "failed",
            "Secrets.AuthorizedKeys",
            "mkdir -p root/.ssh; ssh-keygen -q -t ed25519 -N '' -f k; mv k.pub root/.ssh/authorized_keys; rm k",
            ("/root/.ssh/authorized_keys", "ssh-ed25519"),
        ),
        Plant("RemoteAccess", "warning", "RemoteAccess.RootWithoutPassword", _SUDO, ("/etc/sudoers.d/vendor", "vendor ALL")),
        Plant(
            "Selinux",
            "warning",
            "Selinux.Permissive",
            "mkdir -p etc/selinux; echo SELINUX=permissive > etc/selinux/config",
            ("/etc/selinux/config", "SELINUX="),
        ),
        Plant(
            "SupportMocInstanceTypes",
            "warning",
            "SupportMocInstanceTypes.ReleaseTooOld",
            "sed -i 's/^VERSION_ID=.*/VERSION_ID=\"8\"/' usr/lib/os-release",
        ),
        # The shell is one of MIPS: elf(5), e_machine.
        Plant(
            "Architecture",
            "unsupported",
            "Architecture.Unknown",
            r"printf '\010\000' | dd of=usr/bin/dash bs=1 seek=18 conv=notrunc status=none",
        ),
    ),
    "no initramfs": (
        Plant("Grub", "failed", "Grub.NoInitramfs", "rm boot/initrd.img-*", ("/boot/grub/grub.cfg", "\tinitrd")),
        Plant("Virtio", "failed", "Virtio.NoDriver"),
        Plant(
            "Secrets",
            "failed",
            "Secrets.Credentials",
            "mkdir -p root/.aws; printf '[default]\\naws_access_key_id = AKIAZ7QWERTY2345PLMN\\n"
            "aws_secret_access_key = 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\\n' > root/.aws/credentials",
            ("/root/.aws/credentials", None),
        ),
        Plant("Dhcp", "ok", None, "rm etc/netplan/*"),  # cloud-init asks for an address
        Plant(
            "RemoteAccess",
            "failed",
            "RemoteAccess.EmptyPasswords",
            "echo PermitEmptyPasswords yes > etc/ssh/sshd_config.d/1.conf",
            ("/etc/ssh/sshd_config.d/1.conf", "PermitEmptyPasswords"),
        ),
        Plant(
            "Passwords",
            "failed",
            "Passwords.Guessable",
            "useradd --root $PWD --create-home --shell /bin/bash admin; " + _HASHED.format("admin:admin123"),
            ("/etc/shadow", None),
        ),
    ),
    "an initramfs without drivers": (
        Plant("Virtio", "failed", "Virtio.NoDriver", _EMPTY_INITRAMFS),
        Plant("Nvme", "warning", "Nvme.NoDriver", "sed -i /nvme/Id usr/lib/modules/*/modules.builtin boot/config-*"),
        Plant("Malware", "failed", "Malware.Signature", _PACKED_EICAR, ("/srv/a.tgz!!x.com", None)),
        Plant("CloudInit", "warning", "CloudInit.NotInstalled", "rm usr/bin/cloud-init"),
        Plant("OnlineResizeFS", "warning", "OnlineResizeFS.NoCloudInit"),
        Plant("Dhcp", "warning", "Dhcp.NotConfigured", "rm etc/netplan/*"),
        Plant("Platform", "unsupported", "Platform.Unknown", "rm usr/lib/os-release etc/debian_version"),
        Plant("OSVersion", "unsupported", "OSVersion.Unknown"),
        Plant(
            "RemoteAccess",
            "warning",
            "RemoteAccess.SecondRoot",
            "echo 'toor:x:0:0::/root:/bin/sh' >> etc/passwd",
            ("/etc/passwd", "toor"),
        ),
        Plant(
            "Secrets",
            "warning",
            "Secrets.ShellHistory",
            "printf 'ls\\napt-get update\\n' > root/.bash_history",
            ("/root/.bash_history", None),
        ),
    ),
    "no kernel": (
        Plant("Grub", "failed", "Grub.NoKernel", "rm -r boot/vmlinuz-* usr/lib/modules/*", ("/boot/grub/grub.cfg", "\tlinux")),
        Plant("KernelVersion", "unsupported", "KernelVersion.Unknown"),
        Plant("Virtio", "unsupported", "Virtio.NotReadable"),
        Plant("Nvme", "unsupported", "Nvme.NotReadable"),
        Plant(
            "Secrets",
            "warning",
            "Secrets.MachineId",
            "echo 0123456789abcdef0123456789abcdef > etc/machine-id",
            ("/etc/machine-id", None),
        ),
    ),
}
"""Into `hybrid`: Debian stable, GRUB, netplan, ext4."""

_BOOT: Final = "loader/entries/debian-*.conf"
LAYOUT_PLANTS: Final = {
    "mbr-logical": (
        Plant(
            "Fstab",
            "failed",
            "Fstab.NoSuchDevice",
            f"sed -i 's|^UUID=[^ ]* /var |UUID={NO_SUCH_UUID} /var |' etc/fstab",
            ("/etc/fstab", f"UUID={NO_SUCH_UUID} /var"),
        ),
        Plant(
            "Dhcp",
            "warning",
            "Dhcp.StaticAddress",
            "printf 'auto eth0\\niface eth0 inet static\\n  address 192.0.2.7/24\\n' > etc/network/interfaces",
            ("/etc/network/interfaces", "iface eth0"),
        ),
        Plant("Privileges", "unsupported", "Privileges.OwnersUnknown"),  # the package database is on /var
        Plant(
            "Secrets",
            "failed",
            "Secrets.HostKeys",
            "echo 'ssh_deletekeys: false' > etc/cloud/cloud.cfg.d/99-keys.cfg",
            ("/etc/ssh/ssh_host_ed25519_key", None),
        ),
    ),
    "uefi-xfs": (
        Plant(
            "Fstab",
            "warning",
            "Fstab.KernelName",
            "sed -i 's|^UUID=[^ ]* /var |/dev/vda4 /var |' etc/fstab",
            ("/etc/fstab", "/dev/vda4"),
        ),
        Plant(
            "Privileges",
            "warning",
            "Privileges.NoPackage",
            "cp usr/bin/su opt/su; chmod 2755 opt/su; chgrp 42 opt/su; chmod 2755 opt/su",
            ("/opt/su", None),
        ),
    ),
    "lvm": (
        Plant(
            "Fstab",
            "failed",
            "Fstab.NoSuchDevice",
            "sed -i 's|system-var--lib|system-var|' etc/fstab",
            ("/etc/fstab", "/dev/mapper/system-var "),
        ),
        Plant("Privileges", "unsupported", "Privileges.OwnersUnknown"),  # the package database is on /var
    ),
    "btrfs": (
        Plant(
            "Fstab", "failed", "Fstab.NoSuchDevice", "sed -i 's|subvol=@home|subvol=@nowhere|' etc/fstab", ("/etc/fstab", "UUID=")
        ),
        Plant("Privileges", "warning", "Privileges.NoPackage", "cp usr/bin/su home/su; chmod 4755 home/su", ("/home/su", None)),
        Plant(
            "Secrets",
            "failed",
            "Secrets.PrivateKey",
            "mkdir -p root/.ssh; ssh-keygen -q -t ed25519 -N '' -f root/.ssh/id_ed25519;"
            " mkdir top; mount -o subvolid=5 $(findmnt -nvo SOURCE --target .) top;"
            " btrfs -q subvolume snapshot -r . top/before; umount top; rmdir top; rm -r root/.ssh",
            ("partition 3 before:/root/.ssh/id_ed25519", None),
        ),
    ),
    "systemd-boot": (
        Plant(
            "Grub",
            "failed",
            "Grub.NoKernel",
            place=("/boot/efi/loader/entries/debian-{kernel}.conf", "linux"),
            esp=(("mdel", "::/debian/{kernel}/linux"),),
        ),
        Plant(
            "Dhcp",
            "warning",
            "Dhcp.StaticAddress",
            "printf '[Match]\\nName=en*\\n[Network]\\nAddress=192.0.2.7/24\\n' > etc/systemd/network/10-wired.network",
            ("/etc/systemd/network/10-wired.network", "Address="),
        ),
    ),
    "uki": (Plant("Grub", "unsupported", "Grub.NoConfiguration", esp=(("mdel", "::/EFI/Linux/debian-{kernel}.efi"),)),),
    "extlinux": (
        Plant(
            "Grub",
            "failed",
            "Grub.NoInitramfs",
            "sed -i 's|INITRD .*|INITRD ../initrd.gone|' boot/extlinux/extlinux.conf",
            ("/boot/extlinux/extlinux.conf", "  INITRD"),
        ),
        Plant(
            "Dhcp",
            "warning",
            "Dhcp.StaticAddress",
            "sed -i '/ipv4/{n;s|.*|method=manual\\naddress1=192.0.2.7/24|}' etc/NetworkManager/*/wired.nmconnection",
            ("/etc/NetworkManager/system-connections/wired.nmconnection", None),
        ),
    ),
}
"""Into the other machines: what is particular to their layout and loader."""


def plant(source: Path, target: Path, plants: Iterable[Plant], where: Mapping[str, Place], kernel: str) -> Path:
    """Copy a disk and plant faults in the copy; `where` its file systems lie, `kernel` for names on the EFI system partition."""
    copy_disk(source, target)
    lines = "\n".join(one.run for one in plants if one.run)
    if lines:
        root, top = where["/"], f"{target}.root"
        mount = f"mount -o loop,offset={root.offset},{root.options} {target} {top}"
        # In a mount namespace of its own: whatever happens, nothing stays mounted.
        script = f"set -eu\nmkdir -p {top}\n{mount}\ncd {top}\n{lines}\ncd /\numount {top}\nrmdir {top}\n"
        run(["unshare", "--mount", "sh", "-c", script])
    esp = next((place.offset for point, place in where.items() if point in {"/boot/efi", "/efi"}), None)
    for command in (command for one in plants for command in one.esp):
        run([command[0], "-i", f"{target}@@{esp}", *(word.format(kernel=kernel) for word in command[1:])])
    return target
