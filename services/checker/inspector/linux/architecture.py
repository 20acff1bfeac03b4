# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which processors the programs are built for. Source: elf(5)."""

import struct

from facts import Facts

_ELF_MACHINES = {(2, 62): "x86_64", (2, 183): "arm64", (1, 3): "i386"}
_SHELLS = ("/bin/sh", "/usr/bin/env", "/bin/busybox", "/sbin/init", "/usr/bin/bash")


def architecture(facts: Facts) -> str | None:
    """Probe: the architecture of the first program found, by its ELF header's class and machine."""
    tree = facts.files()
    for path in _SHELLS:
        head = tree.read_head(path, 20)
        if head is not None and head[:4] == b"\x7fELF" and len(head) == 20:
            order = "<" if head[5] == 1 else ">"
            return _ELF_MACHINES.get((head[4], struct.unpack(f"{order}H", head[18:20])[0]))
    return None
