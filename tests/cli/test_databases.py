"""`databases add | list | verify | remove`: what they say and how they exit; `check` uses what they made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import cli.database_folder
import services.checker.adapters.inspector_process
import services.checker.handlers.check_file
from cli.database_folder import default_folder, folder_to_run_with
from cli.main import main
from services.checker.adapters.databases.kinds import KINDS
from tests.checker.databases import days_ago, entry, osv_store, packages, suite, tracker, zipped
from tests.checker.inspectors import inspector
from tests.inspector.disks import ext4

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("IMAGE_COMMONS_DATABASES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "image-commons" / "databases"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code: int | str | None = 0
        try:
            main(list(map(str, arguments)))
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return int(code or 0), _ESCAPE.sub("", said.out), said.err

    return run


def test_add_list_verify_remove(run: Any, tmp_path: Path, folder: Path) -> None:
    file = zipped(tmp_path / "all.zip", entry())
    code, out, err = run("databases", "add", "osv", file, "--name", "debian")
    added = json.loads(out)
    assert (code, err, added["name"], added["entries"], added["age_days"]) == (0, "", "debian", 1, 1)
    assert added["folder"] == str(folder / "debian")
    code, out, _ = run("databases", "list", "--json")
    listed = json.loads(out)
    assert (code, listed["folder"], listed["databases"]) == (0, str(folder), [added])
    assert {"name", "purpose", "kind", "version", "date", "age_days", "entries", "digest"} <= set(added)
    assert run("databases", "verify")[0] == 0
    (folder / "debian" / added["index"]).write_bytes(b"x")
    code, out, _ = run("databases", "verify", "debian")
    assert code == 1
    assert json.loads(out)["databases"][0]["amiss"] == [f"{added['index']} has 1 bytes, {added['index_size_bytes']} were written"]
    assert run("databases", "remove", "debian", "--dry-run")[0] == 0
    assert json.loads(run("databases", "list")[1])["databases"] != []
    assert run("databases", "remove", "debian")[0] == 0
    assert json.loads(run("databases", "list")[1])["databases"] == []
    assert not (folder / "debian").exists()


def test_a_person_gets_a_table(run: Any, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "140")
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "database.json").write_text("{")
    _, out, _ = run("databases", "add", "osv", zipped(tmp_path / "all.zip", entry()))
    assert re.search(r"^entries +1 *$", out, re.MULTILINE)
    _, out, _ = run("databases", "list")
    assert re.search(r"broken +cannot be used", out)
    assert re.search(rf"osv +vulnerabilities +{days_ago(1)} 00:00 +1 day +1 +osv +\S+ \S+ +sha256:[0-9a-f]{{12}}…", out)
    code, out, _ = run("databases", "verify")
    assert code == 1
    assert re.search(r"osv +in order", out)


def test_the_folder_is_named_by_option_environment_or_custom(
    run: Any, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tracker(tmp_path / "json", openssl={"CVE-2026-1001": {"status": "open"}})
    assert default_folder() == folder
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_folder() == Path.home() / ".local/share/image-commons/databases"
    monkeypatch.setenv("IMAGE_COMMONS_DATABASES", str(tmp_path / "named"))
    assert run("databases", "add", "debian-tracker", file, "--date", "2026-11-24", "--version", "mine")[0] == 0
    assert json.loads(run("databases", "list")[1])["databases"][0]["version"] == "mine"
    assert json.loads(run("databases", "list", "--databases", tmp_path / "other")[1])["databases"] == []


WRONG: dict[str, tuple[list[str], int, list[str]]] = {
    "no such kind": (["add", "nvd", "all.zip"], 2, ["there is no such kind", "known-exploited", "--help"]),
    "no such file": (["add", "osv", "none.zip"], 1, ["this is no such database", "none.zip", "No such file", "check the path"]),
    "another file": (["add", "osv", "text.zip"], 1, ["text.zip", "id: Field required", "name a zip or folder of OSV entries"]),
    "no date": (["add", "debian-tracker", "json"], 1, ["--date"]),
    "no such date": (["add", "osv", "all.zip", "--date", "soon"], 1, ["that is no date", "soon", "2026-11-24"]),
    "no such name": (["add", "osv", "all.zip", "--name", "../x"], 1, ["that is no name", "../x", "small letters", "--name"]),
    "nothing to verify": (["verify"], 2, ["there are no databases", "databases add"]),
    "nothing to remove": (["remove", "osv"], 1, ["there is no such database", "databases list"]),
    "a release without an index": (["add", "debian-suite", "all.zip"], 1, ["which suite this is", "--release"]),
}


@pytest.mark.parametrize(("arguments", "code", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_done_is_told(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    zipped(tmp_path / "all.zip", entry())
    (tmp_path / "text.zip").write_text('{"openssl": {}}')
    tracker(tmp_path / "json", openssl={"CVE-2026-1001": {"status": "open"}})
    ended, out, err = run("databases", *arguments)
    assert (ended, out) == (code, "")
    for text in says:
        assert text in err
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*.json"))


def test_the_help_says_where_each_kind_is_found(run: Any) -> None:
    _, out, _ = run("databases", "add", "--help")
    told = " ".join(re.sub(r"[│╭╮╰╯─]", " ", out).split())
    for name in KINDS:
        assert name in told
    for words in ("all.zip", "/tracker/data/json", "main/source/Sources.xz", "known_exploited_vulnerabilities.json"):
        assert words in told


def test_check_uses_them_and_says_of_when_they_are(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.checker.handlers.check_file, "RULES_VERSION", "3")
    listed = packages("libssl3 3.0.11-1 openssl").model_dump(exclude_none=True)
    command = inspector(tmp_path, f"say(packages={listed!r})")
    monkeypatch.setattr(services.checker.adapters.inspector_process, "default_command", lambda: command)
    image = ext4(tmp_path / "good.raw")
    for arguments in ((), ("--databases", tmp_path / "mine")):
        _, out, _ = run("check", image, *arguments)
        told = json.loads(out)
        assert {"item": "SECURITY.Vulnerabilities", "reason": "no database is named"} in told["unjudged"]
        file = suite(tmp_path, "Package: openssl\nVersion: 3.0.17-1\n")
        assert run("databases", "add", "debian-suite", file, "--name", "bookworm", *arguments)[0] == 0
        _, out, _ = run("check", image, *arguments)
        told = json.loads(out)
        (item,) = [one for one in told["items"] if one["name"] == "SECURITY.Vulnerabilities"]
        assert (item["level"], item["value"]) == ("warning", "1 unrated with a fix released")
        (used,) = [one for one in told["databases"] if one["purpose"] == "vulnerabilities"]
        assert used["name"] == "bookworm"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run("check", image)
    assert f"bookworm of {used['date']} ({used['digest'][:19]}…)" in out


def test_services_of_a_local_stack_take_the_demos_where_there_are_no_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demos = tmp_path / "demo"
    monkeypatch.setattr(cli.database_folder, "DEMO_FOLDER", demos)
    assert folder_to_run_with(local=True) == folder
    demos.mkdir()
    assert folder_to_run_with(local=True) == demos
    assert folder_to_run_with(local=False) == folder
    folder.mkdir(parents=True)
    assert folder_to_run_with(local=True) == demos
    osv_store(tmp_path, entry())
    (tmp_path / "databases" / "osv").rename(folder / "osv")
    assert folder_to_run_with(local=True) == folder
