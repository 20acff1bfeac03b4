"""Root file systems of Debian, installed by its packages' own scripts from the mirror this machine uses; cached as tar.

A digest of the recipe is in each one's name: a changed recipe is built anew. Needs root, as a mirror's packages are unpacked as
their owners.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from demo.image import system_sources
from demo.partitions import run
from tests.images.fetch import CACHE, again_if_it_fails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMMON: Final = (
    *("systemd-sysv", "cloud-init", "cloud-guest-utils", "openssh-server", "sudo", "fdisk", "e2fsprogs", "dbus", "udev", "zstd"),
)
_GRUB: Final = ("grub2-common", "grub-pc-bin", "grub-efi-amd64-bin")
_NETPLAN: Final = "network:\n  version: 2\n  ethernets:\n    first: {match: {name: 'en*'}, dhcp4: true}\n"
_IFUPDOWN: Final = "auto lo\niface lo inet loopback\n\nallow-hotplug ens3\niface ens3 inet dhcp\n"
_NETWORKD: Final = "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n"
_KEYFILE: Final = "[connection]\nid=wired\ntype=ethernet\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
_WITHOUT_HOST_KEYS: Final = 'rm -f "$1"/etc/ssh/ssh_host_*\n'


@dataclass(frozen=True, slots=True)
class Recipe:
    """A suite, packages, files that an administrator would write, and a script that is given the root's folder."""

    suite: str
    packages: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    script: str = ""


RECIPES: Final = {
    "stable": Recipe(
        "trixie",
        (*_COMMON, *_GRUB, "linux-image-cloud-amd64", "initramfs-tools", "netplan.io", "lvm2", "xfsprogs", "btrfs-progs"),
        (("etc/netplan/10-wired.yaml", _NETPLAN),),
        _WITHOUT_HOST_KEYS,
    ),
    "stable-dracut": Recipe(
        "trixie",
        (*_COMMON, "linux-image-amd64", "dracut", "systemd-boot", "systemd-boot-efi", "systemd-ukify", "xfsprogs"),
        (("etc/systemd/network/10-wired.network", _NETWORKD),),
        _WITHOUT_HOST_KEYS,
    ),
    "oldstable": Recipe(
        "bookworm",
        (*_COMMON, *_GRUB, "linux-image-amd64", "initramfs-tools", "ifupdown", "isc-dhcp-client"),
        (("etc/network/interfaces", _IFUPDOWN), ("etc/initramfs-tools/conf.d/compress", "COMPRESS=gzip\n")),
    ),
    "oldstable-small": Recipe(
        "bookworm",
        (*_COMMON, "linux-image-cloud-amd64", "initramfs-tools", "network-manager", "extlinux", "syslinux-common", "xz-utils"),
        (
            ("etc/NetworkManager/system-connections/wired.nmconnection", _KEYFILE),
            ("etc/initramfs-tools/conf.d/compress", "COMPRESS=xz\n"),
        ),
        _WITHOUT_HOST_KEYS,
    ),
}
"""Debian stable and oldstable; cloud and generic kernels; initramfs-tools (zstd, gzip, xz) and dracut; four network managers."""

_FINISH: Final = """#!/bin/sh
set -eu
rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap
: > "$1/etc/machine-id"
rm -f "$1/var/lib/dbus/machine-id"
echo image > "$1/etc/hostname"
chroot "$1" passwd --lock --quiet root
cp -a "$(dirname "$0")/files/." "$1/"
find "$1/etc/NetworkManager" -name '*.nmconnection' -exec chmod 600 {} + 2>/dev/null || :
if [ -d "$1/etc/initramfs-tools" ]; then chroot "$1" update-initramfs -u -k all; fi
"""


def digest(*parts: object) -> str:
    """Return a short digest of what something is made of."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]


def root(name: str) -> Path:
    """Return the tar of a root, made if it is not in the cache. Safe to call from several processes."""
    recipe = RECIPES[name]
    path = CACHE / "roots" / f"{name}-{digest(astuple(recipe), _FINISH)}.tar"
    with locked(path):
        if not path.exists():
            for old in path.parent.glob(f"{name}-{'?' * 12}.tar"):
                old.unlink()
            again_if_it_fails(lambda: _bootstrap(recipe, path), subprocess.CalledProcessError)
    return path


def _bootstrap(recipe: Recipe, path: Path) -> None:
    work = path.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    for name, content in recipe.files:
        (work / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / "files" / name).write_text(content)
    script = work / "finish.sh"
    script.write_text(_FINISH + recipe.script)
    script.chmod(0o755)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--architectures=amd64", f"--customize-hook={script}"]
    command.append('--aptopt=Acquire::Retries "3"')
    command += [f"--include={','.join(recipe.packages)}", "--format=tar", recipe.suite]
    run([*command, str(path.with_suffix(".part")), *system_sources(recipe.suite)])
    shutil.rmtree(work)
    path.with_suffix(".part").rename(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to a file of the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name.partition('.')[0].rpartition('-')[0]}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
