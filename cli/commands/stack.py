"""``stack``: a real Kafka and a real PostgreSQL on this machine, without Docker."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import PROJECT, stack_folder
from cli.errors import CommandError
from cli.options import Json
from cli.output import Output, plain
from cli.tables import fields
from stack import folder_lock

_UP_TIMEOUT_S = 120.0
_DOWN_TIMEOUT_S = 40.0
_POLL_S = 0.1
_TAIL_BYTES_MAX = 1024 * 1024

app = typer.Typer(help="A local Kafka and PostgreSQL, without Docker: real servers, restarted when they die.")
Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Where data and logs lie; another folder is another stack.", show_default=".stack of the project"),
]


@app.command()
def up(folder: Folder = None, as_json: Json = False) -> None:
    """Start the stack in the background, wait until both servers answer, make topics and databases.

    The commands of this checkout find it by themselves; `stack env` prints the variables for other programs.

    Example:
      image-commons stack up && image-commons run all
    """
    place, out = _folder(folder), Output(as_json=as_json)
    place.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(place):
        if not _status(place):
            out.note(f"starting Kafka and PostgreSQL in {place}")
            with (place / "supervisor.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "stack.supervisor", str(place)],
                    cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            _wait_until_up(place, process)
        environment = _environment(place)
        _prepare(environment, out)
    out.document(environment, lambda: plain(_answers(environment), "green"))


@app.command()
def env(folder: Folder = None) -> None:
    """Print the variables by which programs find the running stack, as lines for a shell.

    Example:
      eval "$(image-commons stack env)"
    """
    environment = _environment(_folder(folder))
    if not environment:
        raise CommandError("no local stack is running", where=str(_folder(folder)), advice="start it: image-commons stack up")
    typer.echo(_exports(environment))


def _environment(place: Path) -> dict[str, str]:
    return {name: value for name, value in _status(place).items() if name.isupper()}


def _answers(environment: dict[str, str]) -> str:
    postgres = environment["POSTGRES_DSN"].rpartition("@")[2].partition("/")[0]
    return f"✓ Kafka answers at {environment['KAFKA_BOOTSTRAP_SERVERS']}, PostgreSQL at {postgres}"


def _exports(environment: dict[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Hold the stack's start: who comes second finds the first one's stack."""
    with (place / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(environment: dict[str, str], out: Output) -> None:
    """Run the two one-shot jobs, as an operator would."""
    for job in (("topics", "apply"), ("migrate",)):
        done = subprocess.run(
            [sys.executable, "-m", "cli", *job],
            cwd=PROJECT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommandError(f"{' '.join(job)} failed", why=done.stderr.strip()[-2000:])
        out.note(f"{' '.join(job)}: done")


def _wait_until_up(place: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _UP_TIMEOUT_S
    while time.monotonic() < deadline:
        if _status(place):
            return
        if process.poll() is not None:
            break
        time.sleep(_POLL_S)
    why = (place / "supervisor.log").read_text(errors="replace").strip()[-2000:]
    raise CommandError(
        "the stack did not come up", where=str(place), why=why or "no answer in time", advice="image-commons stack logs"
    )


@app.command()
def down(folder: Folder = None, as_json: Json = False) -> None:
    """Stop the stack; data stays, for the next `up`. Nothing to stop is fine."""
    place, out = _folder(folder), Output(as_json=as_json)
    status = _status(place)
    if status:
        pid = int(status["supervisor_pid"])
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _DOWN_TIMEOUT_S
        while folder_lock.is_held(place):
            if time.monotonic() > deadline:
                raise CommandError(
                    "the stack does not stop", where=f"process {pid}", advice=f"kill -9 {pid}: its servers end with it"
                )
            time.sleep(_POLL_S)
    out.document({"stopped": bool(status), "dir": str(place)}, lambda: "stopped" if status else "nothing was running")


@app.command()
def status(folder: Folder = None, as_json: Json = False) -> None:
    """Say whether the stack runs and whether each server answers; exit code 1 if not."""
    place, out = _folder(folder), Output(as_json=as_json)
    found = _status(place)
    document: dict[str, Any] = {"running": bool(found), "dir": str(place)}
    if found:
        import asyncio

        from stack.kafka_server import kafka_answers
        from stack.postgres_server import postgres_answers

        async def ask() -> tuple[bool, bool]:
            return await kafka_answers(found["KAFKA_BOOTSTRAP_SERVERS"]), await postgres_answers(found["POSTGRES_DSN"])

        kafka, postgres = asyncio.run(ask())
        document |= {**found, **_pids(int(found["supervisor_pid"])), "kafka_answers": kafka, "postgres_answers": postgres}
    out.document(document, lambda: fields(document))
    if not (document.get("kafka_answers") and document.get("postgres_answers")):
        raise typer.Exit(1)


@app.command()
def logs(
    folder: Folder = None, lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of each.")] = 40
) -> None:
    """Show the last lines that each server, and the supervisor, wrote."""
    place = _folder(folder)
    for path in (place / "supervisor.log", place / "kafka" / "kafka.log", place / "postgres" / "postgres.log"):
        if path.exists():
            typer.echo(f"== {path}")
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL_BYTES_MAX))
                typer.echo("\n".join(file.read().decode(errors="replace").splitlines()[-lines:]))


def _folder(folder: Path | None) -> Path:
    return (folder or stack_folder()).absolute()


def _status(place: Path) -> dict[str, str]:
    """Return what the supervisor of `place` wrote down; empty if none is alive or it is still starting."""
    try:
        found: dict[str, str] = json.loads((place / "status.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if folder_lock.is_held(place) else {}


def _pids(supervisor: int) -> dict[str, int]:
    """Return the servers' process ids as they are now: a killed server comes back under another."""
    found = {}
    try:
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        for child in children:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            found["kafka_pid" if b"kafka.Kafka" in command else "postgres_pid"] = int(child)
    except OSError:
        return found
    return found
