"""Where the command line looks for the platform."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import cli.ports
from cli.connection import DEFAULT_KAFKA, KAFKA_VARIABLE, POSTGRES_VARIABLE, STACK_VARIABLE, Endpoints, endpoints, write_service
from cli.errors import CommandError, ExitCode
from cli.http import query
from cli.ports import ports_for


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


def test_a_service_of_the_stack_is_found_where_it_is_and_no_other_at_its_usual_port(tmp_path: Path) -> None:
    write_status(tmp_path, os.getpid())
    assert endpoints().urls == {}
    with pytest.raises(CommandError, match="catalog does not run on the local stack"):
        query(endpoints(), "catalog", "/images")
    write_service(tmp_path, "catalog", "http://127.0.0.1:5678")
    assert endpoints().urls == {"catalog": "http://127.0.0.1:5678"}
    (written,) = (tmp_path / "services").iterdir()
    written.write_text(written.read_text().replace(str(os.getpid()), "1"))
    assert endpoints().urls == {}, "that number is another process now"


def test_addresses_that_stack_env_exported_still_name_the_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_status(tmp_path, os.getpid())
    write_service(tmp_path, "launcher", "http://127.0.0.1:5679")
    monkeypatch.setenv(KAFKA_VARIABLE, "127.0.0.1:4444")
    monkeypatch.setenv(POSTGRES_VARIABLE, "postgresql://a@127.0.0.1:5555/x")
    assert endpoints().urls == {"launcher": "http://127.0.0.1:5679"}
    monkeypatch.setenv("IMAGE_COMMONS_LAUNCHER_URL", "http://127.0.0.1:9")
    assert endpoints().urls == {"launcher": "http://127.0.0.1:9"}
    monkeypatch.setenv(KAFKA_VARIABLE, "elsewhere:4444")
    assert endpoints().urls["catalog"] == "http://127.0.0.1:8083"


def test_on_a_local_stack_a_taken_port_is_replaced_elsewhere_it_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(cli.ports, "SERVICE_PORTS", {"catalog": port})
        local = Endpoints.of({}, found="test", stack=tmp_path)
        assert ports_for(local, ["catalog"])["catalog"] not in {0, port}
        with pytest.raises(CommandError) as raised:
            ports_for(Endpoints.of({}, found="test"), ["catalog"])
        assert str(port) in raised.value.what
        assert "IMAGE_COMMONS_CATALOG_URL" in (raised.value.advice or "")
    assert ports_for(local, ["catalog"]) == {"catalog": port}


@pytest.mark.parametrize("kafka", ["garbage", "host:", ":9092", "http://host:9092", "host:99999", "a:1,b"])
def test_what_is_no_address_of_a_broker_is_said_so(kafka: str) -> None:
    with pytest.raises(CommandError, match="no address of a Kafka broker") as raised:
        endpoints(kafka).require_kafka_address()
    assert raised.value.exit_code == ExitCode.USAGE


def test_addresses_of_several_brokers_and_of_version_6_are_fine() -> None:
    endpoints("a:1, b.example:65535,[::1]:9092").require_kafka_address()


@pytest.mark.parametrize("dsn", ["garbage", "mysql://h/x", "postgresql://h:port/x", "postgresql://["])
def test_what_is_no_dsn_is_said_so(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, dsn)
    with pytest.raises(CommandError, match="POSTGRES_DSN is no address") as raised:
        assert endpoints().postgres_place
    assert raised.value.exit_code == ExitCode.USAGE


def test_the_place_of_a_database_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, "postgresql://admin:secret@h:5/x")
    assert endpoints().postgres_place == "h:5/x"
