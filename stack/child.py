"""A server program kept running: restarted when it dies, ended when we end, however we end."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_RESTART_FIRST_S: Final = 0.1
_RESTART_MAX_S: Final = 5.0
_STEADY_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 15.0


class Child:
    """One server program.

    `death_signal` is what the kernel sends it when this process dies (prctl(2), PR_SET_PDEATHSIG, through setpriv(1));
    `stop_signal` asks it to end in good order. Its output goes to `log`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        death_signal: str = "KILL",
        stop_signal: signal.Signals = signal.SIGTERM,
        user: str | None = None,
        before_start: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        drop = [] if user is None else ["--reuid", user, "--regid", user, "--init-groups"]
        self.name = name
        self._command = ["setpriv", *drop, "--pdeathsig", death_signal, "--", *command]
        self._log = log
        self._environment = dict(environment)
        self._stop_signal = stop_signal
        self._before_start = before_start
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._released = asyncio.Event()
        self._released.set()
        self.starts = 0

    @property
    def pid(self) -> int:
        """Its process id; 0 while it is not running."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else 0

    async def start(self) -> None:
        """Start it and keep it running until `stop`."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def _spawn(self) -> None:
        if self._before_start is not None:
            await self._before_start()
        with self._log.open("ab") as log:
            # A session of its own: a Ctrl-C at the terminal is ours to pass on.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self.starts += 1

    async def _keep(self) -> None:
        pause_s = _RESTART_FIRST_S
        while self._process is not None:
            began = asyncio.get_running_loop().time()
            await self._process.wait()
            if asyncio.get_running_loop().time() - began > _STEADY_S:
                pause_s = _RESTART_FIRST_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RESTART_MAX_S)
            await self._released.wait()
            await self._spawn()

    def hold(self) -> None:
        """Kill it and keep it down until `release`."""
        self._released.clear()
        self.kill()

    def release(self) -> None:
        """Let it be started again."""
        self._released.set()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, SIGKILL by default; nothing if it is not running."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self) -> None:
        """End it in good order, by force if it takes longer than 15 s."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.kill(signal.SIGCONT)
        self.kill(self._stop_signal)
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
