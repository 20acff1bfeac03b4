# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the inspector takes away from itself before it looks at a stranger's bytes.

Sources: unshare(2), prctl(2), setrlimit(2). What did not hold is said, never hidden: the report lists what did.
"""

import ctypes
import os
import resource
import signal

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def confine(*, memory_bytes: int, cpu_s: int) -> list[str]:
    """Limit this process; returns the names of what holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    held = []
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        held.append("empty network namespace")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        held.append("no new privileges")
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    held.append("limits on memory, CPU and files")
    if os.geteuid() != 0:
        # Root is told apart from others by more than this; a child of a service is not root.
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        held.append("no processes of its own")
    return held
