"""A small real Debian disk image, made without mounts: about a minute the first time, then from the cache.

``mmdebstrap`` makes the root file system from the apt sources of this machine (or its own default where this machine
is no Debian), ``mke2fs -d`` puts it into ext4, and :mod:`demo.partitions` makes a disk of it that boots by BIOS
and UEFI. Beside the images lies ``facts.json``: what the build knows of the image, taken from the built file system by
other means than the checker's.

Works as root, and as a user who has subordinate ids (``mmdebstrap`` in its ``unshare`` mode).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from demo.partitions import MIB, ROOT_START_MIB, Loader, assemble, copy_disk, missing_tools, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SUITE = "bookworm"
PACKAGES = (
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "ifupdown",
    "isc-dhcp-client",
    "grub2-common",
    "grub-pc-bin",
    "grub-efi-amd64-bin",
)
ROOT_SIZE_MIB = 640
LAYOUT_VERSION = 1  # part of the cache key: raise it when the code below makes another image of the same constants
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mformat": "mtools",
    "qemu-img": "qemu-utils",
}
GRUB_MODULES = "part_gpt part_msdos ext2 fat normal linux configfile search search_fs_uuid echo test gzio all_video"
NO_SUCH_UUID = "0badf00d-0000-4000-8000-00000000dead"
KERNEL_ARGUMENTS = "ro console=tty0 console=ttyS0,115200"


class BuildError(Exception):
    """The image could not be built; the text says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class DemoImages:
    """Where the images lie, and what their build knows."""

    raw: Path
    qcow2: Path
    with_backing_file: Path
    broken_fstab: Path
    facts: Mapping[str, str]


def build(cache: Path, say: Callable[[str], None] = print) -> DemoImages:
    """Return the images beneath `cache`, made first if they are not there. Safe to call at once from two processes.

    Raises:
        BuildError: a tool is missing, or one failed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"debian-{_recipe_digest()}"
    with locked(cache / "build.lock"):
        if not (folder / "facts.json").exists():
            _require_tools()
            say(f"Building a Debian {SUITE} disk image (about a minute, once) in {folder}")
            try:
                _build_into(folder, say)
            except subprocess.CalledProcessError as error:
                tail = (error.stderr or "").strip()[-2000:]
                message = f"{error.cmd[0]} failed with exit code {error.returncode} while building {folder}:\n{tail}"
                raise BuildError(message) from error
        _link(cache, folder)
    return _images(folder, json.loads((folder / "facts.json").read_text()))


def _link(cache: Path, folder: Path) -> None:
    """Give the images names that do not change with the recipe: `debian.qcow2` and `debian.raw` in the cache folder."""
    for name in ("debian.qcow2", "debian.raw"):
        link = cache / name
        if not link.is_symlink() or link.readlink() != Path(folder.name) / name:
            link.unlink(missing_ok=True)
            link.symlink_to(Path(folder.name) / name)


def with_backing_file(image: Path, image_format: str, target: Path) -> Path:
    """Make a qcow2 at `target` whose backing file is `image`: it holds nothing itself and reads from a neighbour."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.resolve()), "-F", image_format, str(target)]
    run(command)
    return target


def detected_format(path: Path) -> str:
    """``qcow2`` if the file starts with its magic, else ``raw``. For choosing options of our own files, not a safety check."""
    with path.open("rb") as file:
        return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"


def _images(folder: Path, facts: Mapping[str, str]) -> DemoImages:
    return DemoImages(
        raw=folder / "debian.raw",
        qcow2=folder / "debian.qcow2",
        with_backing_file=folder / "with-backing-file.qcow2",
        broken_fstab=folder / "broken-fstab.qcow2",
        facts=facts,
    )


def _recipe_digest() -> str:
    recipe = [SUITE, PACKAGES, ROOT_SIZE_MIB, LAYOUT_VERSION, GRUB_MODULES, KERNEL_ARGUMENTS]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def _require_tools() -> None:
    packages = missing_tools(TOOLS)
    if not packages:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run(command)
        return
    message = f"building the demo's image needs {', '.join(packages)}. Run: sudo {' '.join(command)}"
    raise BuildError(message)


def _build_into(folder: Path, say: Callable[[str], None]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    root_uuid = str(uuid5(NAMESPACE_URL, f"root-{folder.name}"))
    esp_id = uuid5(NAMESPACE_URL, f"esp-{folder.name}").hex[:8].upper()
    # In the temporary folder of the system, open to the subordinate ids that own the files in unshare mode.
    with tempfile.TemporaryDirectory(prefix="image-commons-build-") as name:
        work = Path(name)
        work.chmod(0o777)
        _bootstrap(work, root_uuid, esp_id)
        say("  packages installed; making ext4, GPT and the boot loader")
        _make_ext4(work, root_uuid)
        loader = _take_loader(work)
        disk = work / "debian.raw"
        assemble(disk, work / "root.ext4", loader, esp_volume_id=esp_id, disk_id=str(uuid5(NAMESPACE_URL, folder.name)))
        folder.mkdir()
        copy_disk(disk, folder / disk.name)
        facts = _facts(work / "root.ext4")
    _make_variants(folder)
    # Last, and in one step: its presence says that the folder is whole.
    temporary = folder / "facts.json.part"
    temporary.write_text(json.dumps(facts, indent=2) + "\n")
    temporary.rename(folder / "facts.json")


def _bootstrap(work: Path, root_uuid: str, esp_id: str) -> None:
    setup = work / "setup.sh"
    setup.write_text(_setup_script(root_uuid, esp_id))
    setup.chmod(0o755)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(PACKAGES)}"]
    command += ["--mode=root" if os.geteuid() == 0 else "--mode=unshare", f"--customize-hook={setup}"]
    command += ["--architectures=amd64", SUITE, str(work / "root.tar"), *system_sources(SUITE)]
    run(command)


def system_sources(suite: str) -> list[str]:
    """One-line apt entries of `suite` on this machine's mirrors; none where it has none (then mmdebstrap's default holds)."""
    if shutil.which("apt-get") is None:
        return []
    fields = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    listed = run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    lines = []
    for target in dict.fromkeys(listed.splitlines()):
        match target.split(" "):
            case [uri, release, component, "Debian"]:
                # The same mirrors carry the other suites, beside bookworm-updates lies trixie-updates.
                _, dash, part = release.partition("-")
                lines.append(f"deb {uri} {suite}{dash}{part} {component}")
            case _:
                continue
    return list(dict.fromkeys(lines))


def _setup_script(root_uuid: str, esp_id: str) -> str:
    """Return what an installer would do, run by mmdebstrap with the root folder as its argument."""
    esp_uuid = f"{esp_id[:4]}-{esp_id[4:]}"
    return f"""#!/bin/sh
set -eu
root="$1"
cat > "$root/etc/fstab" <<'END'
# <file system> <mount point> <type> <options> <dump> <pass>
UUID={root_uuid} / ext4 errors=remount-ro 0 1
UUID={esp_uuid} /boot/efi vfat umask=0077 0 1
END
mkdir -p "$root/boot/efi" "$root/boot/grub"
echo demo > "$root/etc/hostname"
printf 'auto lo\\niface lo inet loopback\\n\\nauto eth0\\niface eth0 inet dhcp\\n' > "$root/etc/network/interfaces"
: > "$root/etc/machine-id"
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
chroot "$root" passwd --lock --quiet root
cat > "$root/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX="{KERNEL_ARGUMENTS}"
END
kernel="$(basename "$(echo "$root"/boot/vmlinuz-*)")"
release="${{kernel#vmlinuz-}}"
cat > "$root/boot/grub/grub.cfg" <<END
set default=0
set timeout=1
serial --unit=0 --speed=115200
terminal_output console serial
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux --class os {{
    insmod gzio
    insmod part_gpt
    insmod ext2
    search --no-floppy --fs-uuid --set=root {root_uuid}
    linux /boot/vmlinuz-$release root=UUID={root_uuid} {KERNEL_ARGUMENTS}
    initrd /boot/initrd.img-$release
}}
END
cat > "$root/boot/grub/early.cfg" <<'END'
search --no-floppy --fs-uuid --set=root {root_uuid}
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
END
modules="{GRUB_MODULES}"
chroot "$root" grub-mkimage -O i386-pc -p /boot/grub -c /boot/grub/early.cfg -o /boot/grub/core.img biosdisk serial $modules
chroot "$root" grub-mkimage -O x86_64-efi -p /boot/grub -c /boot/grub/early.cfg -o /boot/grub/bootx64.efi serial $modules
cp "$root/usr/lib/grub/i386-pc/boot.img" "$root/boot/grub/boot.img"
"""


def _make_ext4(work: Path, root_uuid: str) -> None:
    size = f"{ROOT_SIZE_MIB * MIB // 1024}k"
    script = (
        f"set -eu; cd '{work}'; mkdir root; "
        "tar --extract --file root.tar --directory root --numeric-owner --exclude='./dev/*'; "
        f"mke2fs -q -t ext4 -L root -U {root_uuid} -E root_owner=0:0 -d root root.ext4 {size}; "
        "chmod 666 root.ext4; rm -rf root"
    )
    helper = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
    run([*helper, "sh", "-c", script])


def _take_loader(work: Path) -> Loader:
    for name in ("boot.img", "core.img", "bootx64.efi"):
        _debugfs(work / "root.ext4", f"dump /boot/grub/{name} {work / name}")
    return Loader((work / "boot.img").read_bytes(), (work / "core.img").read_bytes(), work / "bootx64.efi")


def _facts(root: Path) -> dict[str, str]:
    """Return what the build knows, read by debugfs from the file system that was made."""
    release = dict(line.split("=", 1) for line in _debugfs(root, "cat /usr/lib/os-release").splitlines() if "=" in line)
    name, version = release["ID"].strip('"'), release["VERSION_ID"].strip('"')
    # Lines of `ls -p` are /inode/mode/user/group/name/size/.
    names = [entry.split("/")[5] for entry in _debugfs(root, "ls -p /lib/modules/").splitlines() if entry.startswith("/")]
    (kernel,) = (entry for entry in names if entry not in {".", ".."})
    return {
        "platform": name.capitalize(),
        "os_version": f"{name.capitalize()} {version}",
        "kernel_version": kernel,
        "architecture": "x86_64",
        "boot_mode": "UEFI-Preferred",
    }


def _make_variants(folder: Path) -> None:
    raw, work = folder / "debian.raw", folder / "broken.raw"
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(folder / "debian.qcow2")])
    with_backing_file(folder / "debian.qcow2", "qcow2", folder / "with-backing-file.qcow2")
    copy_disk(raw, work)
    file_system = f"{work}?offset={ROOT_START_MIB * MIB}"
    lines = _debugfs(file_system, "cat /etc/fstab").splitlines()
    broken = [f"UUID={NO_SUCH_UUID} / ext4 errors=remount-ro 0 1" if " / " in line else line for line in lines[1:]]
    with tempfile.NamedTemporaryFile("w", suffix=".fstab") as edited:
        edited.write("\n".join([lines[0], *broken, ""]))
        edited.flush()
        _debugfs(file_system, "rm /etc/fstab", write=True)
        _debugfs(file_system, f"write {edited.name} /etc/fstab", write=True)
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(work), str(folder / "broken-fstab.qcow2")])
    work.unlink()


def _debugfs(file_system: Path | str, request: str, *, write: bool = False) -> str:
    return run(["debugfs", *(["-w"] if write else []), "-R", request, str(file_system)])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`, waiting for whoever has it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Build the images beneath ``.cache/demo`` and print where they are, as JSON."""
    images = build(Path(__file__).resolve().parent.parent / ".cache" / "demo")
    paths = {name: str(getattr(images, name)) for name in ("raw", "qcow2", "with_backing_file", "broken_fstab")}
    print(json.dumps({**paths, "facts": images.facts}, indent=2))


if __name__ == "__main__":
    main()
