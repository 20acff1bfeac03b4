# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which kernels can boot, by what their images say of themselves.

Sources: Linux, Documentation/arch/x86/boot.rst (kernel_version) and arch/arm64/booting.rst (the Image header),
include/linux/pe.h (linux_efi_zboot_header); UAPI Group, Unified Kernel Image and Boot Loader Specification.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from facts import Facts
from findings import Unreadable, attempt
from forward import Forward
from linux.compression import Budget, Source, Unpacked, format_of
from linux.pe import content, sections
from linux.places import Place, places
from tree import Found, Tree

_KERNELS_MAX = 16
_HEAD_BYTES = 64 * 1024
_BANNER = re.compile(rb"Linux version ([0-9][!-~]{0,127}) ")
_BANNER_BYTES_MAX = 160
_BANNER_WITHIN_BYTES = 128 * 2**20
_NAMES = ("vmlinuz", "vmlinux", "kernel-", "Image", "bzImage")
_RELEASE = re.compile(r"[0-9]+\.[0-9]+[\w.+~-]*$")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel: its full release, and the path of its image, None where only its modules are there.

    `place` and `found` are where the image lies if a boot loader can read it there; `unified` whether it is a unified image.
    """

    release: str
    path: str | None = None
    place: Place | None = field(default=None, compare=False, repr=False)
    found: Found | None = field(default=None, compare=False, repr=False)
    unified: bool = False

    @property
    def name(self) -> str:
        """The file name."""
        return (self.path or "").rpartition("/")[2]


def kernels(facts: Facts) -> list[Kernel]:
    """Probe: the kernels where boot loaders look, oldest first.

    Where none is there those beside their modules, which `kernel-install` copies from; else those that have modules.
    """
    known = facts.get(places)
    budget = _budget(facts)
    found: dict[tuple[str, bool], Kernel] = {}
    for place in [] if isinstance(known, Unreadable) else known:
        for kernel in _in_place(place, budget):
            if len(found) < _KERNELS_MAX:
                found.setdefault((kernel.release, kernel.unified), kernel)
    tree = facts.files()
    only = list(found.values()) or list(_beside_modules(tree, budget)) or [Kernel(name) for name in _with_modules(tree)]
    return sorted(only, key=lambda kernel: version_key(kernel.release))[-_KERNELS_MAX:]


def _budget(facts: Facts) -> Budget:
    found = facts.get(unpacking)
    if isinstance(found, Unreadable):
        raise found
    return found


def unpacking(_: Facts) -> Budget:
    """Probe: what may be spent on unpacking kernels and initramfs, all of them together."""
    return Budget()


def _in_place(place: Place, budget: Budget) -> Iterator[Kernel]:
    # A rescue kernel is a copy of one that was installed, and sorts before it.
    names = sorted(place.names(place.top), key=lambda name: ("rescue" in name, name))
    # SUSE puts the same kernel beside it as vmlinux, for crash dumps: it would be unpacked for nothing.
    twins = {f"vmlinux{name.removeprefix('vmlinuz')}.gz" for name in names if name.startswith("vmlinuz")}
    paths = [(f"{place.top}/{name}", _by_name(name)) for name in names if name.startswith(_NAMES) and name not in twins]
    for token in place.names(place.top)[:64] if not place.top else []:
        # kernel-install's layout: <entry token>/<release>/linux, with a digest behind it on openSUSE.
        releases = [name for name in _names_in(place, f"/{token}") if _RELEASE.match(name)]
        for release in releases[:_KERNELS_MAX]:
            kernels_there = [name for name in place.names(f"/{token}/{release}") if name == "linux" or name.startswith("linux-")]
            paths += [(f"/{token}/{release}/{name}", release) for name in kernels_there]
    paths += [(f"/EFI/Linux/{name}", None) for name in place.names("/EFI/Linux") if name.lower().endswith(".efi")]
    for path, fallback in paths[: 4 * _KERNELS_MAX]:
        found = place.find(path)
        if found is not None:
            own, unified = _release(found, budget)
            known = own or fallback
            if known:
                yield Kernel(known, place.shown(path), place, found, unified)


def _names_in(place: Place, folder: str) -> list[str]:
    """Return the names in a folder, none behind links in a circle, as `run` has them on a /var that fstab does not mount."""
    names = attempt(lambda: place.names(folder))
    if not isinstance(names, Unreadable):
        return names
    if names.code == "LinkLoop":
        return []
    raise names


def _by_name(name: str) -> str | None:
    release = name.partition("-")[2].removesuffix(".gz")
    return release if _RELEASE.match(release) else None


def _beside_modules(tree: Tree, budget: Budget) -> Iterator[Kernel]:
    for name in _with_modules(tree)[-_KERNELS_MAX:]:
        path = f"/lib/modules/{name}/vmlinuz"
        found = tree.find_file(path)
        if found is not None:
            yield Kernel(_release(found, budget)[0] or name, path)


def _with_modules(tree: Tree) -> list[str]:
    return sorted((name for name in tree.names("/lib/modules") if name[:1].isdigit()), key=version_key)[-_KERNELS_MAX:]


def version_key(release: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts releases as people do."""
    words = re.findall(r"[0-9]+|[a-z]+", release[:256].lower())
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]


def _release(found: Found, budget: Budget) -> tuple[str | None, bool]:
    """Return the release, None where the image does not tell, and whether it is a unified image."""
    head = found.read(_HEAD_BYTES)
    x86 = release_of(head)
    if x86 is not None:
        return x86, False
    if head[:2] == b"MZ" and head[4:8] != b"zimg":
        parts = sections(found)
        if ".linux" in parts:
            return _unified_release(found, budget), True
    told = attempt(lambda: _banner(found, head, budget))
    return (None if isinstance(told, Unreadable) else told), False


def _unified_release(found: Found, budget: Budget) -> str | None:
    parts = sections(found)
    told = content(found, parts.get(".uname"), bytes_max=128).rstrip(b"\0\n ").decode("ascii", "replace")
    if told:
        return told
    linux = parts[".linux"]
    head = content(found, linux, bytes_max=_HEAD_BYTES)
    inner = attempt(
        lambda: release_of(head) or _banner_in(Source(found.open(), budget, offset=linux.offset, length=linux.length))
    )
    return None if isinstance(inner, Unreadable) else inner


def release_of(head: bytes) -> str | None:
    """Return the release in the head of an x86 kernel image; None if it is none."""
    if head[0x202:0x206] != b"HdrS":
        return None
    at = struct.unpack("<H", head[0x20E:0x210])[0] + 0x200
    words = head[at : at + 128].split(b"\0")[0].split(b" ")
    return words[0].decode("ascii", "replace") or None


def _banner(found: Found, head: bytes, budget: Budget) -> str | None:
    """Return the release by the banner inside an arm64 or ELF image, whatever it is compressed with."""
    file = found.open()
    if head[:2] == b"MZ" and head[4:8] == b"zimg":
        offset, length = struct.unpack_from("<II", head, 8)
        name = {"gzip": "gzip", "zstd": "zstd", "xzkern": "xz"}.get(head[24:56].split(b"\0")[0].decode("ascii", "replace"))
        payload = Source(file, budget, offset=offset, length=min(length, found.stat().size))
        start = payload.read(16)
        payload.put_back(start)
        name = name or format_of(start)
        return None if name is None else _banner_in(Unpacked(payload, name, budget))
    if head[:2] == b"MZ" or head[:4] == b"\x7fELF" or head[56:60] == b"ARM\x64":
        return _banner_in(Source(file, budget))
    name = format_of(head)
    return None if name is None else _banner_in(Unpacked(Source(file, budget), name, budget))


def _banner_in(stream: Forward) -> str | None:
    kept, read = b"", 0
    while read < _BANNER_WITHIN_BYTES and (data := stream.read(2**20)):
        read += len(data)
        match = _BANNER.search(kept + data)
        if match:
            return match[1].decode("ascii")
        kept = data[-_BANNER_BYTES_MAX:]
    return None
