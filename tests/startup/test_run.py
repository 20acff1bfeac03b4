"""``image-commons run``: four processes that start together, stop together, and never stay behind."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.connection import KAFKA_VARIABLE, POSTGRES_VARIABLE, STACK_VARIABLE, TOPIC_PREFIX_VARIABLE, url_variable
from cli.http import probe
from cli.processes import SERVICES, how_it_ended
from cli.readiness import free_ports
from tests.checker.databases import recent_databases
from tests.cli.platform import PROJECT

PATIENCE_S = 60


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture(scope="module")
def variables(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables of a platform with topics and tables of its own, and ports that nothing listens on."""
    token = secrets.token_hex(4)
    urls = {url_variable(name): f"http://127.0.0.1:{port}" for name, port in zip(SERVICES, free_ports(4), strict=True)}
    databases = {"IMAGE_COMMONS_DATABASES": str(recent_databases(tmp_path_factory.mktemp("databases")))}
    own = {
        **servers,
        **databases,
        **urls,
        TOPIC_PREFIX_VARIABLE: f"run-{token}.",
        "IMAGE_COMMONS_DATABASE_PREFIX": f"run_{token}_",
    }
    for job in (("topics", "apply"), ("migrate",)):
        subprocess.run(
            [sys.executable, "-m", "cli", *job], cwd=PROJECT, env={**os.environ, **own}, check=True, capture_output=True
        )
    return own


@contextmanager
def run_all(variables: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], list[int], str]]:
    """Run all four; yields the supervising process, its children, and what it said until it called all ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "run", "all"],
        cwd=PROJECT,
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    children: list[int] = []
    try:
        said = []
        for line in process.stderr or ():
            said.append(line)
            if "are ready" in line:
                break
        answers = {name: probe(f"{variables[url_variable(name)]}/health/ready") for name in SERVICES}
        assert all(status == 200 for status, _ in answers.values()), (answers, said)
        children = children_of(process.pid)
        assert len(children) == len(SERVICES)
        yield process, children, "".join(said)
    finally:
        for pid in (process.pid, *children):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_sigterm_stops_all_four_in_order(variables: dict[str, str]) -> None:
    with run_all(variables) as (process, children, began):
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        assert said.count("service_stopping") == len(SERVICES)
        assert "all four services are ready: publisher http://127.0.0.1:" in began
        assert "warning: the checker may read images from nowhere" in began
        assert not any(alive(child) for child in children)


def test_one_that_dies_ends_all_with_exit_code_1(variables: dict[str, str]) -> None:
    with run_all(variables) as (process, children, _):
        os.kill(children[0], signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert "was killed by SIGKILL" in said
        assert not any(alive(child) for child in children)


def test_killed_supervisor_leaves_no_service_behind(variables: dict[str, str]) -> None:
    with run_all(variables) as (process, children, _):
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        until(lambda: not any(alive(child) for child in children), "services end with their supervisor")


def test_without_servers_one_clear_error_at_once(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {KAFKA_VARIABLE, POSTGRES_VARIABLE}}
    environment |= {STACK_VARIABLE: str(tmp_path), POSTGRES_VARIABLE: "postgresql://127.0.0.1:1/postgres"}
    for service, more in (("all", {KAFKA_VARIABLE: "127.0.0.1:1"}), ("catalog", {})):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "cli", "run", service],
            cwd=PROJECT, env={**environment, **more}, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert time.monotonic() - began < 20
        assert "PostgreSQL" in done.stderr.splitlines()[0]
        assert "127.0.0.1:1/postgres" in done.stderr
        assert "connection refused" in done.stderr
        assert "image-commons stack up" in done.stderr
        assert "internal error" not in done.stderr


def test_a_taken_port_is_named_with_what_to_do(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own = {**variables, url_variable("catalog"): f"http://127.0.0.1:{port}", "IMAGE_COMMONS_HTTP_PORT": str(port)}
        for service, variable in (("all", url_variable("catalog")), ("catalog", "IMAGE_COMMONS_HTTP_PORT")):
            done = subprocess.run(
                [sys.executable, "-m", "cli", "run", service],
                cwd=PROJECT, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
            )  # fmt: skip
            assert done.returncode == 1
            assert str(port) in done.stderr
            assert "name " in done.stderr.partition("next:")[2]
            assert variable in done.stderr.partition("next:")[2]


@pytest.mark.parametrize(("code", "words"), [(3, "exit code 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")])
def test_an_end_in_words(code: int, words: str) -> None:
    assert words in how_it_ended(code)
