"""What the command line does without any platform: help, usage errors, unreachable addresses, safe output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.building import sentence
from cli.main import COMMANDS, main
from cli.output import safe

PROJECT = Path(__file__).resolve().parents[2]
CLOSED_PORT = "127.0.0.1:1"


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=PROJECT, env={**os.environ, "COLUMNS": "120", **environment}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "Usage:" in capsys.readouterr().out


def test_help_names_every_command_and_loads_none() -> None:
    code = "import sys; sys.argv = ['x', '--help']\nfrom cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "heavy = {'aiokafka', 'asyncpg', 'pydantic', 'faststream'}\n"
    code += "print([name for name in sys.modules if name in heavy or name.startswith('cli.commands')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for entry in COMMANDS:
        assert entry.name in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("publish",),
        ("publish", "img-1", "-a", "acme", "--timeout", "never"),
        ("publish", "bad id", "-a", "acme"),
        ("share", "img-1", "--with", "x" * 65, "-a", "acme"),
        ("image", "register", "img-1", "--owner", "acme"),
        ("image", "register", "img-1", "--owner", "acme", "--location", "file:///x"),
        ("image", "register", "img-1", "--owner", "acme", "--file", "/no/such/file"),
        ("run", "everything"),
        ("dead-letters", "list", "--limit", "0"),
        ("dead-letters", "show", "not-an-id"),
        ("image", "register", "img-1", "--owner", "acme", "--file", "/dev/zero"),
        ("image", "register", "img-1", "--owner", "acme", "--file", "README.md", "--location", "no uri"),
        ("image", "register", "img-1", "--owner", "acme", "--location", "file:x", "--content-version", "1"),
        ("image", "register", "img-1", "--owner", "acme", "--images-root", "/images"),
        ("run", "catalog", "--images", "/tmp"),
        ("run", "checker", "--images", "/no/such/folder"),
        ("account", "acme", "--kafka", "garbage"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments: tuple[str, ...]) -> None:
    done = run_cli(*arguments, KAFKA_BOOTSTRAP_SERVERS=CLOSED_PORT)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "bad id", "-a", "acme"),
        ("publish", "img-1", "-a", "bad id"),
        ("images", "-a", "bad id"),
        ("images", "bad id", "-a", "acme"),
        ("instances", "-a", "acme", "bad id"),
        ("publications", "-a", "acme", "bad id"),
        ("publications", "-a", "acme", "--image", "bad id"),
        ("launch", "img-1", "-a", "acme", "--instance", "bad id"),
        ("share", "img-1", "-a", "acme", "--with", "bad id"),
        ("permit", "bad id", "--ticket", "T"),
        ("account", "bad id"),
        ("image", "register", "img-1", "--owner", "bad id", "--file", "README.md"),
        ("image", "delete", "bad id"),
        ("report", "bad id"),
    ],
)
def test_an_invalid_id_is_said_in_words_and_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = run_cli(*arguments, KAFKA_BOOTSTRAP_SERVERS=CLOSED_PORT)
    assert done.returncode == 2, done.stderr
    said = " ".join(done.stderr.replace("│", " ").split())
    assert "'bad id': an id is 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit" in said


def test_an_invalid_region_is_said_in_words() -> None:
    done = run_cli("images", "-a", "acme", "--region", "Über all")
    assert done.returncode == 2
    assert "a region is 1 to 32 lower-case letters" in " ".join(done.stderr.replace("│", " ").split())


def test_what_the_contracts_do_not_allow_is_said_without_their_jargon() -> None:
    done = run_cli("account", "acme", "--display-name", "x" * 300, "--kafka", CLOSED_PORT)
    assert done.returncode == 2
    assert "display_name: should have at most 256 characters" in done.stderr
    assert sentence("Value error, U+0000 is not allowed") == "U+0000 is not allowed"


def test_version_and_short_help() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert run_cli("--version").stdout == f"image-commons {project['version']}\n"
    assert run_cli("publish", "-h").stdout == run_cli("publish", "--help").stdout


def test_a_mistyped_command_is_guessed() -> None:
    assert "'publish'" in run_cli("pubish").stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "exit_code", "says"),
    [
        (("stack", "up", "--dir", "/proc/x"), {}, 1, "/proc/x"),
        (("migrate",), {"POSTGRES_DSN": "garbage"}, 2, "POSTGRES_DSN"),
        (("republish",), {"POSTGRES_DSN": "garbage"}, 2, "POSTGRES_DSN"),
        (("dead-letters", "list"), {"POSTGRES_DSN": "garbage"}, 2, "POSTGRES_DSN"),
        (("run", "all"), {"POSTGRES_DSN": "garbage"}, 2, "POSTGRES_DSN"),
        (("stack", "env", "--dir", "/nowhere"), {}, 1, "stack up"),
    ],
)
def test_mistakes_are_no_internal_errors(
    arguments: tuple[str, ...], environment: dict[str, str], exit_code: int, says: str
) -> None:
    done = run_cli(*arguments, **environment)
    assert done.returncode == exit_code
    assert says in done.stderr
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("check", "README.md", "--json")])
def test_a_full_disk_is_said(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "img-1", "-a", "acme"),
        ("permit", "acme", "--ticket", "T-1"),
        ("account", "acme"),
        ("launch", "img-1", "-a", "zoe"),
        ("image", "change", "img-1", "--status", "Deprecated"),
    ],
)
def test_unreachable_broker_is_named_with_what_to_do(arguments: tuple[str, ...]) -> None:
    done = run_cli(*arguments, "--kafka", CLOSED_PORT)
    assert done.returncode == 1
    assert f"where: {CLOSED_PORT} (from --kafka)" in done.stderr
    assert "image-commons stack up" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("service", "command"), [("catalog", "images"), ("publisher", "publications"), ("launcher", "instances")]
)
def test_unreachable_service_is_named_with_what_to_do(service: str, command: str) -> None:
    done = run_cli(command, "-a", "acme", **{f"IMAGE_COMMONS_{service.upper()}_URL": f"http://{CLOSED_PORT}"})
    assert done.returncode == 1
    assert f"{service} does not answer" in done.stderr
    assert f"IMAGE_COMMONS_{service.upper()}_URL" in done.stderr


def test_address_of_a_service_must_be_http() -> None:
    done = run_cli("images", "-a", "acme", IMAGE_COMMONS_CATALOG_URL="file:///etc/passwd")
    assert done.returncode == 2
    assert "root:" not in done.stdout + done.stderr


def test_unreachable_database_is_named_with_what_to_do() -> None:
    done = run_cli("dead-letters", "list", POSTGRES_DSN=f"postgresql://admin:secret@{CLOSED_PORT}/postgres")
    assert done.returncode == 1
    assert CLOSED_PORT in done.stderr
    assert "secret" not in done.stderr


def test_probe_tells_what_is_not_ready() -> None:
    done = run_cli("probe", f"http://{CLOSED_PORT}/health/ready")
    assert done.returncode == 1
    assert "not ready" in done.stderr


def test_service_with_bad_settings_says_which() -> None:
    done = run_cli("run", "catalog", IMAGE_COMMONS_HTTP_PORT="many")
    assert done.returncode == 1
    assert "IMAGE_COMMONS_HTTP_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@given(st.text())
def test_shown_text_holds_nothing_a_terminal_acts_on(text: str) -> None:
    shown = safe(text)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in shown)
    assert len(shown) <= 400 * 10


def test_escape_sequences_and_overrides_are_shown_not_obeyed() -> None:
    assert safe("\x1b[2Jname\u202egnp") == "\\u001b[2Jname\\u202egnp"
    assert json.loads(json.dumps(safe("a\nb"))) == "a\\u000ab"
