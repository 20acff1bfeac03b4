"""Services as child processes: started together, watched, stopped together, never left behind."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cli.connection import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SERVICES = ("publisher", "checker", "catalog", "launcher")
STOP_TIMEOUT_S = 40.0  # above the services' own drain of 30 s
PARENT_VARIABLE = "IMAGE_COMMONS_PARENT_PID"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(slots=True)
class Services:
    """The services' processes.

    Args:
        environment: added to this process's for every service.
        per_service: added for one service (its HTTP port, for instance).
        logs: folder for a log file each; None leaves them this process's standard error.
    """

    environment: Mapping[str, str]
    per_service: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    logs: Path | None = None
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, names: Sequence[str] = SERVICES) -> None:
        """Start them; returns at once, before they are ready."""
        for name in names:
            environment = {**os.environ, **self.environment, **self.per_service.get(name, {}), PARENT_VARIABLE: str(os.getpid())}
            log = None if self.logs is None else (self.logs / f"{name}.log").open("ab")
            try:
                self.processes[name] = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "cli", "run", name),
                    cwd=PROJECT,
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            finally:
                if log is not None:
                    log.close()

    async def first_exit(self) -> tuple[str, int]:
        """Wait until one of them ends by itself; return its name and exit code (negative: the signal that killed it)."""
        waiting = {asyncio.create_task(process.wait()): name for name, process in self.processes.items()}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        task = done.pop()
        return waiting[task], task.result()

    async def stop(self) -> None:
        """Ask all to stop, wait for their drain, kill what does not end within `STOP_TIMEOUT_S`."""
        running = [process for process in self.processes.values() if process.returncode is None]
        for process in running:
            with suppress(ProcessLookupError):
                process.terminate()
        ended = [asyncio.create_task(process.wait()) for process in running]
        if ended:
            await asyncio.wait(ended, timeout=STOP_TIMEOUT_S)
        for process in running:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if ended:
            await asyncio.wait(ended)

    def log_tail(self, name: str, *, lines_max: int = 15) -> str:
        """Return the last lines a service wrote; empty without log files."""
        if self.logs is None:
            return ""
        with suppress(OSError):
            return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines_max:])
        return ""


def how_it_ended(code: int | None) -> str:
    """Return in words how a process ended: its exit code, or the signal that killed it."""
    if code is None or code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def end_with_parent() -> None:
    """Have the kernel end this process when the supervisor that started it dies, however it dies.

    Does nothing unless a supervisor of ours started this process.
    """
    parent = os.environ.pop(PARENT_VARIABLE, None)
    if parent is None or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if str(os.getppid()) != parent:  # it died before the call above
        sys.exit(1)
