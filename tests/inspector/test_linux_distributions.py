"""Whole systems, every Linux item at once: synthetic roots in the documented layouts of distributions, and a real Debian.

*Synthetic*: made by hand from documentation, since nothing that can be had here holds those distributions.
"""

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from containers import look
from demo.image import build
from facts import Facts, gather
from items import ITEMS, judge
from tests.inspector.linux_roots import (
    BOOT,
    CLOUD_INIT,
    ESP,
    NOWHERE,
    ROOT,
    Files,
    arm64_image,
    bzimage,
    initramfs,
    link,
    machine,
    program,
    unified,
    zboot,
)
from tests.inspector.memory import File

JUDGED = (
    *("Platform", "OSVersion", "KernelVersion", "Architecture", "Fstab", "Grub", "Virtio", "Nvme", "Dhcp", "RtcTimeMode"),
    *("Selinux", "OnlineResizeFS", "CloudInit", "SupportMocInstanceTypes"),
)
X86 = program(b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00")
ARM = program(b"\x7fELF\x02\x01" + bytes(12) + b"\xb7\x00")
ONE_FSTAB = f"UUID={ROOT} / ext4 defaults 0 1\n"
BOOT_FSTAB = f"UUID={ROOT} / xfs defaults 0 0\nUUID={BOOT} /boot xfs defaults 0 0\nUUID={ESP} /boot/efi vfat umask=0077 0 0\n"
ESP_FSTAB = f"{ONE_FSTAB}UUID={ESP} /boot vfat rw 0 2\n"
WANTS = "/etc/systemd/system/multi-user.target.wants/"
C6 = "2.6.32-754.el6.x86_64"
NETWORKD_DHCP = "[Match]\nName=en*\n[Network]\nDHCP=yes\n"
DRACUT_STUB = (
    f"search --root-dev-only --fs-uuid --set=dev {BOOT}\nset prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n"
)
DEBIAN_STUB = f"search.fs_uuid {BOOT} root\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n"
BLS = "title a\nversion {0}\nlinux {2}/vmlinuz-{0}\ninitrd {2}/initramfs-{0}.img $tuned_initrd\noptions {1} $tuned_params\n"
EXTLINUX = f"DEFAULT a\nLABEL a\n  LINUX vmlinuz-lts\n  INITRD initramfs-lts\n  APPEND root=UUID={ROOT} modules=sd-mod,ext4\n"
GRUB_CONF = (
    f"default=0\ntitle a\n\troot (hd0,2)\n\tkernel /boot/vmlinuz-{C6} ro root=UUID={ROOT}\n\tinitrd /boot/initramfs-{C6}.img\n"
)
ARCH_ENTRY = f"title Arch\nlinux /vmlinuz-linux\ninitrd /initramfs-linux.img\noptions root=UUID={ROOT} rw\n"


@dataclass
class System:
    """A synthetic system: its file systems, and what the attributes must say of it."""

    platform: str
    version: str
    kernel: str
    root: dict[str, File | bytes | str]
    boot: Files | None = None
    esp: Files | None = None
    kind: str = "ext4"
    architecture: str = "x86_64"

    def facts(self) -> Facts:
        """The disk that holds it."""
        return machine(self.root, boot=self.boot, esp=self.esp, kind=self.kind)


def base(release: str, kernel: str, fstab: str = ONE_FSTAB, *, shell: File = X86) -> dict[str, File | bytes | str]:
    """What every distribution has: a release file, a shell, lists of modules, cloud-init with growpart."""
    return {
        **CLOUD_INIT,
        "/usr/lib/os-release": release.replace(" ", "\n"),
        "/etc/os-release": link("../usr/lib/os-release"),
        "/etc/fstab": fstab,
        "/usr/bin/sh": shell,
        "/bin": link("usr/bin"),
        "/lib": link("usr/lib"),
        f"/usr/lib/modules/{kernel}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
        f"/usr/lib/modules/{kernel}/modules.dep": "kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz\n",
    }


def menu(kernel: str, initrd: str, uuid: str, linux: str = "linux") -> str:
    """A menu entry as grub-mkconfig writes it."""
    start = f"menuentry 'a' {{\n\tsearch --no-floppy --fs-uuid --set=root {uuid}\n\t{linux} {kernel} root=UUID={ROOT} ro\n"
    return f"{start}\t{linux.replace('linux', 'initrd')} {initrd}\n}}\n"


def ubuntu(kernel: str = "6.8.0-31-generic") -> System:
    fstab = f"LABEL=system / ext4 discard 0 1\nUUID={BOOT} /boot ext4 defaults 0 2\nUUID={ESP} /boot/efi vfat umask=0077 0 1\n"
    root = base("ID=ubuntu NAME=Ubuntu VERSION_ID='24.04'", kernel, fstab)
    root[f"/usr/lib/modules/{kernel}/modules.builtin"] = "kernel/drivers/virtio/virtio_pci.ko\n"
    root["/etc/netplan/50-cloud-init.yaml"] = "network:\n  ethernets:\n    enp1s0: {dhcp4: true}\n"
    boot = {
        f"/vmlinuz-{kernel}": bzimage(kernel),
        f"/initrd.img-{kernel}": initramfs(kernel, early=3, ending=".ko.zst"),
        "/grub/grub.cfg": menu(f"/vmlinuz-{kernel}", f"/initrd.img-{kernel}", BOOT),
    }
    return System("Ubuntu", "24.04", kernel, root, boot, {"/EFI/ubuntu/grub.cfg": DEBIAN_STUB})


def redhat(
    release: str, kernel: str, options: str, *, image: bytes | None = None, shell: File = X86, top: str = ""
) -> tuple[dict[str, File | bytes | str], dict[str, File | bytes | str]]:
    """A root and a boot folder of Red Hat's family: entries in files of their own that GRUB reads, an initramfs by dracut."""
    boot: dict[str, File | bytes | str] = {
        "/grub2/grub.cfg": f"search --no-floppy --fs-uuid --set=boot {ROOT if top else BOOT}\ninsmod blscfg\nblscfg\n",
        "/grub2/grubenv": f"# GRUB Environment Block\nsaved_entry=a\nkernelopts=root=UUID={ROOT} ro console=ttyS0\n####",
        f"/loader/entries/cafe-{kernel}.conf": BLS.format(kernel, options, top),
        f"/vmlinuz-{kernel}": image or bzimage(kernel),
        f"/initramfs-{kernel}.img": initramfs(kernel, packer="gzip", ending=".ko.xz"),
        "/vmlinuz-0-rescue-cafe": image or bzimage(kernel),
    }
    root = base(release, kernel, ONE_FSTAB if top else BOOT_FSTAB, shell=shell)
    root["/etc/selinux/config"] = "SELINUX=disabled\n"
    root[f"{WANTS}NetworkManager.service"] = link("/usr/lib/systemd/system/NetworkManager.service")
    return root | {f"{top}{path}": data for path, data in boot.items() if top}, boot


def family_of_red_hat() -> dict[str, System]:
    r9, r8, f41 = "5.14.0-427.el9.x86_64", "4.18.0-553.el8.x86_64", "6.11.4-301.fc41.aarch64"
    a3, amazon = "5.10.134-16.al8.x86_64", "6.1.79-99.amzn2023.x86_64"
    given, arm = f"root=UUID={ROOT} ro", zboot(gzip.compress(arm64_image(f41)), b"gzip")
    esp = {"/EFI/redhat/grub.cfg": DRACUT_STUB}
    ec2, _ = redhat("ID=amzn VERSION_ID=2023", amazon, given, top="/boot")
    del ec2[f"{WANTS}NetworkManager.service"]
    ec2["/usr/lib/systemd/network/80-ec2.network"] = "[Match]\nDriver=ena\n[Network]\nDHCP=yes\n"
    ali, _ = redhat("ID=alinux VERSION_ID=3", a3, given, top="/boot")
    return {
        "RHEL 9": System("Red Hat", "9.4", r9, *redhat("ID=rhel VERSION_ID=9.4", r9, given), esp, "xfs"),
        "Rocky 8": System("Rocky Linux", "8.9", r8, *redhat("ID=rocky VERSION_ID=8.9", r8, "$kernelopts"), esp, "xfs"),
        "Fedora 41 on arm64": System(
            "Fedora", "41", f41, *redhat("ID=fedora VERSION_ID=41", f41, given, image=arm, shell=ARM), esp, "btrfs", "arm64"
        ),
        "Alibaba Cloud Linux 3": System("Alibaba Cloud Linux", "3", a3, ali),
        "Amazon Linux 2023": System("Amazon Linux", "2023", amazon, ec2, kind="xfs"),
    }


def centos_7(kernel: str = "3.10.0-1160.el7.x86_64") -> System:
    root = base("ID=centos VERSION_ID=7", kernel) | {
        "/etc/sysconfig/network-scripts/ifcfg-eth0": "BOOTPROTO=dhcp\nDEVICE=eth0\n",
        f"/boot/vmlinuz-{kernel}": bzimage(kernel),
        f"/boot/initramfs-{kernel}.img": initramfs(kernel, packer="gzip", ending=".ko.xz"),
        "/boot/grub2/grub.cfg": menu(f"/boot/vmlinuz-{kernel}", f"/boot/initramfs-{kernel}.img", ROOT, linux="linux16"),
    }
    return System("CentOS", "7", kernel, root, kind="xfs")


def sles(kernel: str = "5.14.21-150500.53-default") -> System:
    root = base("ID=sles VERSION_ID=15.5", kernel) | {
        "/etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n",
        f"/boot/vmlinuz-{kernel}": bzimage(kernel),
        f"/boot/initrd-{kernel}": initramfs(kernel, packer="xz", ending=".ko.zst"),
        "/boot/grub2/grub.cfg": menu(f"/@/boot/vmlinuz-{kernel}", f"/@/boot/initrd-{kernel}", ROOT),
    }
    return System("SUSE", "15.5", kernel, root, kind="btrfs")


def arch(*, unified_image: bool, kernel: str = "6.9.1-arch1-1") -> System:
    root = base("ID=arch BUILD_ID=rolling", kernel, ESP_FSTAB.replace("/boot", "/efi") if unified_image else ESP_FSTAB)
    root |= {f"/usr/lib/modules/{kernel}/vmlinuz": bzimage(kernel), "/etc/systemd/network/20-wired.network": NETWORKD_DHCP}
    if unified_image:
        line = f"root=UUID={ROOT} rw".encode()
        image = unified(linux=bzimage(kernel), initrd=initramfs(kernel), cmdline=line, uname=kernel.encode(), osrel=b"ID=arch")
        return System("Arch Linux", "rolling", kernel, root, None, {"/EFI/Linux/arch-linux.efi": image})
    esp = {
        "/vmlinuz-linux": bzimage(kernel),
        "/initramfs-linux.img": initramfs(kernel),
        "/loader/loader.conf": "default a.conf\n",
        "/loader/entries/a.conf": ARCH_ENTRY,
    }
    return System("Arch Linux", "rolling", kernel, root, None, esp)


def alpine(kernel: str = "6.6.31-0-lts") -> System:
    root = base("ID=alpine VERSION_ID=3.20.0", kernel) | {
        "/etc/network/interfaces": "auto eth0\niface eth0 inet dhcp\n",
        "/etc/conf.d/hwclock": 'clock="UTC"\n',
        "/boot/vmlinuz-lts": bzimage(kernel),
        "/boot/initramfs-lts": initramfs(kernel, packer="gzip", early=0, ending=".ko.gz", top="lib/modules"),
        "/boot/extlinux.conf": EXTLINUX,
        "/etc/runlevels/boot/cloud-init": link("/etc/init.d/cloud-init"),
    }
    return System("Alpine", "3.20.0", kernel, root)


SYSTEMS = {
    "Ubuntu 24.04": ubuntu(),
    **family_of_red_hat(),
    "CentOS 7": centos_7(),
    "SLES 15": sles(),
    "Arch with systemd-boot": arch(unified_image=False),
    "Arch with a unified image": arch(unified_image=True),
    "Alpine 3.20": alpine(),
}


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_a_clean_synthetic_system_is_all_ok(system: System) -> None:
    facts = system.facts()
    found = {item.NAME.partition(".")[2]: judge(item, facts) for item in ITEMS}
    assert {
        short: (found[short].level, found[short].code, found[short].advice) for short in JUDGED if found[short].level != "ok"
    } == {}
    told = tuple(found[name].value for name in ("Platform", "OSVersion", "KernelVersion", "Architecture"))
    assert told == (system.platform, f"{system.platform} {system.version}", system.kernel, system.architecture)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_a_synthetic_system_without_its_kernels_files_or_drivers_is_found_out(system: System) -> None:
    """The trouble is planted by leaving out each initramfs, then by naming another root."""

    def without(files: Files | None, part: str) -> dict[str, File | bytes | str] | None:
        return (
            None
            if files is None
            else {path: data for path, data in files.items() if not path.rpartition("/")[2].startswith(part)}
        )

    if not system.esp or not any(path.endswith(".efi") for path in system.esp):
        gone = replace(
            system, root=without(system.root, "init") or {}, boot=without(system.boot, "init"), esp=without(system.esp, "init")
        )
        facts = gone.facts()
        found = {item.NAME.partition(".")[2]: judge(item, facts) for item in ITEMS}
        assert (found["Grub"].code, found["Virtio"].code) == ("Grub.NoInitramfs", "Virtio.NoDriver")
        assert found["Grub"].evidence[0].line

    def elsewhere(files: Files | None) -> dict[str, File | bytes | str] | None:
        if files is None:
            return None
        wrong = {path: _renamed(data) for path, data in files.items() if path != "/etc/fstab"}
        return wrong | {path: data for path, data in files.items() if path == "/etc/fstab"}

    moved = replace(system, root=elsewhere(system.root) or {}, boot=elsewhere(system.boot), esp=elsewhere(system.esp)).facts()
    found = {item.NAME.partition(".")[2]: judge(item, moved) for item in ITEMS}
    assert (found["Grub"].level, found["Grub"].code) == ("failed", "Grub.NoSuchDevice")


def _renamed(data: File | bytes | str) -> File | bytes | str:
    if isinstance(data, File):
        return data
    return data.replace(ROOT, NOWHERE) if isinstance(data, str) else data.replace(ROOT.encode(), NOWHERE.encode())


def test_centos_6_is_read_and_too_old() -> None:
    """Synthetic: GRUB Legacy, no os-release, no cloud-init."""
    root = {
        "/etc/redhat-release": "CentOS release 6.10 (Final)\n", "/etc/fstab": ONE_FSTAB, "/bin/sh": X86,
        f"/boot/vmlinuz-{C6}": bzimage(C6), f"/boot/initramfs-{C6}.img": initramfs(C6, packer="gzip"),
        "/boot/grub/grub.conf": GRUB_CONF,
        "/boot/grub/menu.lst": link("./grub.conf"), "/etc/grub.conf": link("../boot/grub/grub.conf"),
        "/etc/sysconfig/network-scripts/ifcfg-eth0": "BOOTPROTO=dhcp\n", "/etc/sysconfig/clock": "ZONE=UTC\n",
    }  # fmt: skip
    facts = machine(root)
    found = {item.NAME.partition(".")[2]: judge(item, facts) for item in ITEMS}
    assert {name for name in JUDGED if found[name].level != "ok"} == {"OnlineResizeFS", "CloudInit", "SupportMocInstanceTypes"}
    assert (found["OSVersion"].value, found["Grub"].value) == ("CentOS 6.10", "GRUB Legacy")


@pytest.fixture(scope="module")
def debian_facts() -> Iterator[Facts]:
    """The demo's Debian: a real one, built by its own tools."""
    images = build(Path(__file__).resolve().parents[2] / ".cache" / "demo", say=lambda _text: None)
    descriptor = os.open(images.raw, os.O_RDONLY)
    facts = gather(descriptor, look(descriptor, None), lambda _phase, _done, _total: None)
    yield facts
    os.close(descriptor)


@pytest.mark.timeout(600)
def test_a_real_debian_is_judged_right(debian_facts: Facts) -> None:
    found = {item.NAME.partition(".")[2]: judge(item, debian_facts) for item in ITEMS}
    told = {name: (item.level, item.code) for name, item in found.items() if name in JUDGED and item.level != "ok"}
    # It has neither cloud-init nor growpart nor any cloud's agents: what the build installs is a bare Debian.
    assert told == {
        "CloudInit": ("warning", "CloudInit.NotInstalled"),
        "OnlineResizeFS": ("warning", "OnlineResizeFS.NoGrowpart"),
    }
    assert {found[name].code for name in ("CloudAssistant", "SecurityCenterAgent")} == {
        "CloudAssistant.NotInstalled",
        "SecurityCenterAgent.NotInstalled",
    }
    kernel = found["KernelVersion"].value
    assert found["Virtio"].value == (f"{kernel}: virtio_blk initramfs, virtio_pci initramfs",)
    assert found["Nvme"].value == (f"{kernel}: nvme built in",)
    assert found["Dhcp"].value == ("eth0: dhcp (ifupdown)",)
    assert (found["Grub"].value, found["Grub"].evidence[0].path) == ("GRUB 2", "/boot/grub/grub.cfg")
    assert NOWHERE not in str(found)
