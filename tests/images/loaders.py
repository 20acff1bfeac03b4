"""Boot loaders and their configurations, by what an installer runs in the new system: update-grub, kernel-install, extlinux."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from demo.image import GRUB_MODULES
from demo.partitions import MIB, SECTOR_BYTES, write_bios_loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.images.builder import Builder


def _grub(builder: Builder, *, bios: bool, efi: bool) -> None:
    settings = 'GRUB_TIMEOUT=1\nGRUB_DISTRIBUTOR=Debian\nGRUB_CMDLINE_LINUX="console=ttyS0,115200"\nGRUB_DISABLE_OS_PROBER=true\n'
    (builder.top / "etc/default/grub").write_text(settings)
    (builder.top / "boot/grub").mkdir(exist_ok=True)
    builder.inside("update-grub")
    configuration = builder.top / "boot/grub/grub.cfg"
    # Here the volume is a loop device with a UUID; on a machine with device mapper Debian's script names the mapper.
    configuration.write_text(
        configuration.read_text().replace(f"root=UUID={builder.uuids['/']}", f"root={builder.root_argument()}")
    )
    holder = "/boot" if "/boot" in builder.devices else "/"
    folder = "/grub" if holder == "/boot" else "/@/boot/grub" if builder.kinds["/"] == "btrfs" else "/boot/grub"
    uuid = builder.uuids[holder]
    early = f"search.fs_uuid {uuid} root\nset prefix=($root)'{folder}'\nconfigfile $prefix/grub.cfg\n"
    (builder.top / "tmp/early.cfg").write_text(early)
    modules = [*GRUB_MODULES.split(), "btrfs", "lvm", "xfs"]
    command = ["grub-mkimage", "-p", folder, "-c", "/tmp/early.cfg", "-o"]
    if efi:
        # grub-install wants to see a mounted FAT; this is what it would put there.
        for vendor in ("BOOT", "debian"):
            (builder.top / "boot/efi/EFI" / vendor).mkdir(parents=True)
            (builder.top / "boot/efi/EFI" / vendor / "grub.cfg").write_text(early)
        builder.inside(*command, "/boot/efi/EFI/BOOT/BOOTX64.EFI", "-O", "x86_64-efi", *modules)
    if bios:
        builder.inside(*command, "/tmp/core.img", "-O", "i386-pc", "biosdisk", *modules)
        boot = (builder.top / "usr/lib/grub/i386-pc/boot.img").read_bytes()
        gap = 1 if builder.machine.label == "dos" else MIB // SECTOR_BYTES
        write_bios_loader(builder.disk, boot, (builder.top / "tmp/core.img").read_bytes(), gap)


def _systemd_boot(builder: Builder, *, unified: bool) -> None:
    esp = next(point for point, kind in builder.kinds.items() if kind == "vfat")
    settings = {
        "cmdline": f"root={builder.root_argument()} ro console=ttyS0,115200\n",
        "entry-token": "debian\n",
        "install.conf": f"layout={'uki' if unified else 'bls'}\n" + ("uki_generator=ukify\n" if unified else ""),
    }
    for name, content in settings.items():
        (builder.top / "etc/kernel" / name).write_text(content)
    # bootctl wants to see a mounted FAT; this is what it would put there.
    for name in ("systemd/systemd-bootx64.efi", "BOOT/BOOTX64.EFI"):
        (builder.top / esp.strip("/") / "EFI" / name).parent.mkdir(parents=True)
        loader = builder.top / "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
        (builder.top / esp.strip("/") / "EFI" / name).write_bytes(loader.read_bytes())
    (builder.top / esp.strip("/") / "loader/entries").mkdir(parents=True)
    (builder.top / esp.strip("/") / "loader/loader.conf").write_text("timeout 1\nconsole-mode keep\n")
    kernel = (f"/boot/vmlinuz-{builder.release()}", f"/boot/initrd.img-{builder.release()}")
    builder.inside(f"BOOT_ROOT={esp}", "kernel-install", "add", builder.release(), *kernel)


def _extlinux(builder: Builder) -> None:
    (builder.top / "boot/extlinux").mkdir()
    release = builder.release()
    lines = ["DEFAULT linux", "TIMEOUT 10", "LABEL linux", "  MENU LABEL Debian", f"  KERNEL ../vmlinuz-{release}"]
    lines += [f"  INITRD ../initrd.img-{release}", f"  APPEND root={builder.root_argument()} ro quiet", ""]
    (builder.top / "boot/extlinux/extlinux.conf").write_text("\n".join(lines))
    builder.inside("extlinux", "--install", "/boot/extlinux")
    code = (builder.top / "usr/lib/syslinux/mbr/mbr.bin").read_bytes()
    with builder.disk.open("r+b") as file:
        file.write(code[:440])


LOADERS: Final[dict[str, Callable[[Builder], None]]] = {
    "grub": lambda builder: _grub(builder, bios=True, efi=True),
    "grub-bios": lambda builder: _grub(builder, bios=True, efi=False),
    "grub-efi": lambda builder: _grub(builder, bios=False, efi=True),
    "systemd-boot": lambda builder: _systemd_boot(builder, unified=False),
    "uki": lambda builder: _systemd_boot(builder, unified=True),
    "extlinux": _extlinux,
}
