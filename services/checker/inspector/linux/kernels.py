# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which kernels can boot. Source: Linux, Documentation/arch/x86/boot.rst (kernel_version)."""

import struct
from dataclasses import dataclass

from facts import Facts
from tree import Tree

_KERNELS_MAX = 16
_BZIMAGE_BYTES = 64 * 1024
_NAMES = ("vmlinuz", "vmlinux", "kernel-", "Image")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel: its full release, and the path of its image, None where only its modules are there."""

    release: str
    path: str | None = None


def kernels(facts: Facts) -> list[Kernel]:
    """Probe: the kernels in /boot, oldest first; where there is none those that have modules."""
    tree = facts.files()
    found: dict[str, Kernel] = {}
    for name in tree.names("/boot"):
        if name.startswith(_NAMES) and len(found) < _KERNELS_MAX:
            path = f"/boot/{name}"
            release = release_of(tree.read_head(path, _BZIMAGE_BYTES) or b"")
            if release is None and name.startswith("vmlinuz-"):
                release = name.removeprefix("vmlinuz-")
            if release:
                found.setdefault(release, Kernel(release, path))
    if not found:
        found = {name: Kernel(name) for name in _with_modules(tree)[-_KERNELS_MAX:]}
    return sorted(found.values(), key=lambda kernel: _version_key(kernel.release))


def _with_modules(tree: Tree) -> list[str]:
    return [name for name in tree.names("/lib/modules") if name[:1].isdigit()]


def _version_key(release: str) -> list[tuple[int, int, str]]:
    words = "".join(one if one.isalnum() else " " for one in release).split()
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]


def release_of(head: bytes) -> str | None:
    """Return the release in the head of an x86 kernel image; None if it is none."""
    if head[0x202:0x206] != b"HdrS":
        return None
    at = struct.unpack("<H", head[0x20E:0x210])[0] + 0x200
    words = head[at : at + 128].split(b"\0")[0].split(b" ")
    return words[0].decode("ascii", "replace") or None
