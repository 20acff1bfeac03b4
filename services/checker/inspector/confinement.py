# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the inspector takes away from itself before it looks at a stranger's bytes.

Sources: unshare(2), prctl(2), setrlimit(2), landlock(7), seccomp(2), libseccomp's seccomp_init(3). What did not hold is said,
never hidden: the report lists what did and what did not.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable

NO_FILES = "no files (Landlock)"
NO_CALLS = "only reading system calls (seccomp)"
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_SCMP_ACT_ALLOW = 0x7FFF0000
_SCMP_ACT_EPERM = 0x00050001
_SCMP_FLTATR_CTL_TSYNC = 4
_ALLOWED_CALLS = (
    *("read", "pread64", "readv", "lseek", "write", "writev", "close", "fstat", "newfstatat", "fcntl", "dup", "ioctl"),
    *("mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "futex", "sched_yield", "poll", "ppoll"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "tgkill"),
    *("getpid", "getppid", "gettid"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "gettimeofday", "getrandom", "getrusage", "exit", "exit_group"),
    # What a thread that was started just before does first.
    *("rseq", "set_robust_list"),
)
"""What Python and the parsers need once all is imported. No open, no socket, no exec, no process, no thread."""


cpu_limit_s: int | None = None
"""The limit on this process's CPU time once it is confined: asking for it then is refused like everything else."""


class _RulesetAttributes(ctypes.Structure):
    """`struct landlock_ruleset_attr`, as of version 6 of the interface."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def confine(*, memory_bytes: int, cpu_s: int, start_threads: Callable[[], None] = lambda: None) -> list[str]:
    """Limit this process for good; returns the names of what holds, and why the rest does not.

    Everything that is to be imported or opened must be by now: afterwards nothing can be. `start_threads` is called when all but
    seccomp holds: a thread inherits the rest, and seccomp is put on all of them at once.
    """
    libc, seccomp = ctypes.CDLL(None, use_errno=True), _libseccomp()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    held = [_no_network(libc)]
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        held.append("no new privileges")
    _set_limits(memory_bytes, cpu_s)
    held.append("limits on memory, CPU and files")
    held.append(_no_files(libc))
    start_threads()
    held.append(_no_calls(seccomp))
    return held


def _reason() -> str:
    return os.strerror(ctypes.get_errno()).lower()


def _no_network(libc: ctypes.CDLL) -> str:
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        return "empty network namespace"
    return f"NOT an empty network namespace: {_reason()}"


def _set_limits(memory_bytes: int, cpu_s: int) -> None:
    global cpu_limit_s  # noqa: PLW0603 - a process is confined once
    cpu_limit_s = cpu_s
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))


def _no_files(libc: ctypes.CDLL) -> str:
    """Deny every way to files, TCP ports and abstract sockets that this kernel's Landlock knows: no rule allows anything."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION))
    if version < 1:
        return f"NOT {NO_FILES}: {_reason()}"
    file_rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)  # refer, truncate, ioctl on devices
    attributes = _RulesetAttributes((1 << file_rights) - 1, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return f"NOT {NO_FILES}: {_reason()}"
    failed = libc.syscall(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    reason = _reason()
    os.close(ruleset)
    return f"NOT {NO_FILES}: {reason}" if failed else NO_FILES


def _libseccomp() -> ctypes.CDLL | None:
    """Load it by its name: its Python binding runs ldconfig and a compiler to find it, which takes longer than an inspection."""
    try:
        return ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None


def _no_calls(library: ctypes.CDLL | None) -> str:
    """Refuse every system call that is not on the list."""
    if library is None:
        return f"NOT {NO_CALLS}: no libseccomp"
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_SCMP_ACT_EPERM)))
    for name in _ALLOWED_CALLS:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # not every architecture has every call
            library.seccomp_rule_add_array(context, ctypes.c_uint32(_SCMP_ACT_ALLOW), number, 0, None)
    # All threads of the process get the filter, or none does and it fails.
    failed = library.seccomp_attr_set(context, _SCMP_FLTATR_CTL_TSYNC, ctypes.c_uint32(1)) or library.seccomp_load(context)
    return f"NOT {NO_CALLS}: {os.strerror(-failed).lower()}" if failed else NO_CALLS
