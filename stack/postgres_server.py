"""PostgreSQL from the system's package, on loopback, with a password; never as root."""

import asyncio
import getpass
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import asyncpg

from stack.child import Child

_APART: Final = Path("/var/tmp")  # noqa: S108 - what lies there is owned by the server's account, mode 0700
_APART_PREFIX: Final = "image-commons-postgres-"
_OWNER: Final = "image-commons-folder"
_POLL_S: Final = 0.05
_VERSION_MIN: Final = 15
_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 300
shared_buffers = 128MB
password_encryption = 'scram-sha-256'
logging_collector = off
log_min_messages = 'warning'
log_checkpoints = off
"""


class PostgresMissing(Exception):
    """PostgreSQL is not there or too old; the text says how to get it."""


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    located = shutil.which("postgres")
    if located is None:
        message = f"PostgreSQL {_VERSION_MIN} or newer is not installed: run `make setup`"
        raise PostgresMissing(message)
    return Path(located).resolve().parent


def _account() -> str | None:
    """Return the account the server runs as: `postgres` where we are root (it refuses root), else None, ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        message = "PostgreSQL refuses to run as root and there is no user `postgres`: install the system's PostgreSQL package"
        raise PostgresMissing(message) from None


def data_folder(folder: Path) -> Path:
    """Return where the data of the stack in `folder` lies: there, or in /var/tmp if the server's account cannot reach it."""
    reachable = all(stat.S_IMODE(parent.stat().st_mode) & stat.S_IXOTH for parent in folder.resolve().parents if parent.exists())
    if _account() is None or reachable:
        return folder / "data"
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return _APART / f"{_APART_PREFIX}{name}"


def sweep_orphans(beneath: Path = _APART) -> list[Path]:
    """Remove data that lies apart from its stack's folder when that folder is gone; return what was removed.

    Data without the note of its folder, which an earlier version wrote none of, stays.
    """
    gone = []
    for data in beneath.glob(f"{_APART_PREFIX}*"):
        try:
            owner = Path((data / _OWNER).read_text())
        except OSError:
            continue
        if not owner.exists() and not _is_served(data):
            shutil.rmtree(data, ignore_errors=True)
            gone.append(data)
    return gone


def _is_served(data: Path) -> bool:
    try:
        pid = (data / "postmaster.pid").read_text().split("\n", 1)[0]
    except OSError:
        return False
    return Path("/proc", pid.strip()).exists()


def _init(data: Path, folder: Path, password: str) -> None:
    account = _account()
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    drop: list[str] = []
    with tempfile.NamedTemporaryFile("w", dir="/var/tmp") as password_file:  # mode 0600
        password_file.write(password)
        password_file.flush()
        if account is not None:
            user = pwd.getpwnam(account)
            for path in (data, password_file.name):
                os.chown(path, user.pw_uid, user.pw_gid)
            drop = ["setpriv", "--reuid", account, "--regid", account, "--init-groups", "--"]
        command = [
            *drop, str(_binaries() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256",
            f"--pwfile={password_file.name}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if not made.returncode:
            (data / _OWNER).write_text(str(folder))
    if made.returncode:
        message = f"initdb failed: {made.stderr.strip() or made.stdout.strip()}"
        raise PostgresMissing(message)


async def postgres_child(folder: Path, *, port: int, password: str) -> Child:
    """Return a server whose data belongs to the stack in `folder`, initialised and not yet started. Raises `PostgresMissing`."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(sweep_orphans)
    data = data_folder(folder)
    if not (data / "PG_VERSION").exists():
        await asyncio.to_thread(_init, data, folder, password)
    version = int((data / "PG_VERSION").read_text())
    if version < _VERSION_MIN:
        message = f"PostgreSQL {version} is too old, {_VERSION_MIN} or newer is needed"
        raise PostgresMissing(message)
    configuration = data / "postgresql.auto.conf"
    configuration.write_text(_SETTINGS.format(port=port))

    async def clear_stale_pid() -> None:
        # After kill -9 the pid in the file may be another process's by now; there is no server of this folder left.
        (data / "postmaster.pid").unlink(missing_ok=True)
        await asyncio.sleep(0)

    return Child(
        "postgres",
        [str(_binaries() / "postgres"), "-D", str(data)],
        log=folder / "postgres.log",
        environment={"PATH": os.environ.get("PATH", "/usr/bin"), "LANG": "C.UTF-8", "USER": _account() or getpass.getuser()},
        # Immediate shutdown, which takes its own children along; they also notice a postmaster that was killed.
        death_signal="QUIT",
        stop_signal=signal.SIGINT,
        user=_account(),
        before_start=clear_stale_pid,
    )


async def postgres_answers(dsn: str) -> bool:
    """Whether the server takes a query."""
    try:
        connection = await asyncpg.connect(dsn, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


async def wait_for_postgres(dsn: str, timeout_s: float) -> None:
    """Wait until the server takes queries; raises `TimeoutError` after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not await postgres_answers(dsn):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(_POLL_S)
