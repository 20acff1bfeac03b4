"""Where the command line looks for the platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.connection import DEFAULT_KAFKA, KAFKA_VARIABLE, POSTGRES_VARIABLE, STACK_VARIABLE, endpoints


@pytest.fixture(autouse=True)
def _no_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (KAFKA_VARIABLE, POSTGRES_VARIABLE, "IMAGE_COMMONS_TOPIC_PREFIX", "IMAGE_COMMONS_CATALOG_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(STACK_VARIABLE, str(tmp_path))


def write_status(folder: Path, pid: object) -> None:
    status = {"supervisor_pid": pid, KAFKA_VARIABLE: "127.0.0.1:4444", POSTGRES_VARIABLE: "postgresql://a@127.0.0.1:5555/x"}
    (folder / "status.json").write_text(json.dumps(status))


def test_option_wins_over_environment_over_stack_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (endpoints().kafka, endpoints().found) == (DEFAULT_KAFKA, "the default")
    write_status(tmp_path, os.getpid())
    assert (endpoints().kafka, endpoints().found) == ("127.0.0.1:4444", "the local stack")
    assert endpoints().postgres_dsn == "postgresql://a@127.0.0.1:5555/x"
    monkeypatch.setenv(KAFKA_VARIABLE, "kafka:1")
    assert (endpoints().kafka, endpoints().found) == ("kafka:1", KAFKA_VARIABLE)
    assert (endpoints("kafka:2").kafka, endpoints("kafka:2").found) == ("kafka:2", "--kafka")


def test_stack_whose_supervisor_is_gone_is_not_used(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_status(tmp_path, gone.pid)
    assert endpoints().found == "the default"


@pytest.mark.parametrize("text", ["", "[]", '{"supervisor_pid": "x"}', '{"supervisor_pid": null}', "{" * 70_000])
def test_unreadable_status_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    assert endpoints().found == "the default"


def test_environment_of_a_child_names_the_same_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_COMMONS_CATALOG_URL", "http://127.0.0.1:9")
    found = endpoints("kafka:2")
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    again = endpoints()
    assert (again.kafka, again.postgres_dsn, again.topic_prefix, again.urls) == (
        found.kafka,
        found.postgres_dsn,
        found.topic_prefix,
        found.urls,
    )
