"""`check FILE`: exit codes, policies, what is written where; short on any terminal, and nothing in it acts on one."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

import services.checker.handlers.check_file
from cli.check_report import drawn
from cli.commands.check import DiskFormatChoice
from cli.errors import CommandError, ExitCode
from cli.main import main
from shared.contracts.facts import DiskFormat
from shared.contracts.report import Report
from shared.policy import shipped_policy
from tests.inspector.disks import Root, ext4
from tests.reporting.blocked import NAME, blocked
from tests.reporting.reports import HOSTILE, item, report

POLICY = 'policy: 1\nname: mine\nversion: "1"\ndefault: {gate: {items: {GUESTOS.Fstab: []}}}\n'


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ext4(tmp_path_factory.mktemp("check") / "good.raw")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image whose fstab waits for a device that is not there."""
    return ext4(tmp_path_factory.mktemp("check") / "bad.raw", Root({"etc/fstab": b"UUID=1234 /data ext4 defaults 0 2\n"}))


def check(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command; returns exit code, standard output and error."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *map(str, arguments)])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_pipe_gets_the_report_with_policy_and_what_it_rests_on(
    capsys: pytest.CaptureFixture[str], good: Path, bad: Path
) -> None:
    code, out, err = check(capsys, good)
    told = json.loads(out)
    assert (code, told["outcome"], err) == (0, "passed", "")
    inspect = shipped_policy("inspect")
    assert told["policy"] == {"name": "inspect", "version": inspect.version, "digest": inspect.digest}
    assert "blocking" not in told
    code, out, _ = check(capsys, bad, "--policy", "gate", "--region", "us-east-1", "--json")
    told = json.loads(out)
    assert (code, told["outcome"], told["blocking"]) == (1, "blocked", ["GUESTOS.Fstab"])
    assert (told["policy"]["name"], told["policy"]["region"]) == ("gate", "us-east-1")


def test_a_policy_file_decides_and_its_region_too(capsys: pytest.CaptureFixture[str], bad: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(POLICY + "regions: {us-1: {gate: {items: {GUESTOS.Fstab: [failed]}}}}\n")
    assert check(capsys, bad, "--policy", file)[0] == 0
    assert check(capsys, bad, "--policy", file, "--region", "us-1")[0] == 1


def test_what_could_not_be_judged_ends_with_3(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = ext4(tmp_path / "nameless.raw", Root({"etc/os-release": None}))
    code, out, _ = check(capsys, image, "--json")
    told = json.loads(out)
    assert (code, told["outcome"], told["blocking"]) == (3, "undetermined", ["GUESTOS.Platform"])
    assert told["reasons"] == ["GUESTOS.Platform could not be judged"]


def test_items_have_the_level_that_the_policys_limits_give_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    old = [{"name": "tracker", "version": "1", "date": "2025-01-01"}]
    counted = item("SECURITY.Vulnerabilities", "warning", vulnerabilities={"fixed_high": 1})
    for found, databases, level, code in (
        (item("SECURITY.Vulnerabilities"), old, "unsupported", "Vulnerabilities.NoDatabase"),
        (counted, old, "failed", "Vulnerabilities.Wrong"),
    ):
        say(monkeypatch, report(found, databases=databases))
        _, out, _ = check(capsys, good)
        told = json.loads(out)
        assert (told["items"][0]["level"], told["items"][0]["code"]) == (level, code)
        assert ("unjudged" in told) == (level == "unsupported")


WRONG: dict[str, tuple[list[str], str]] = {
    "no such file": (["missing.raw"], "No such file"),
    "a folder": (["."], "a directory"),
    "a pipe": (["pipe"], "no regular file"),
    "no such policy": (["good.raw", "--policy", "nope"], "nope:1:1: it cannot be read: No such file or directory"),
    "a bad policy": (["good.raw", "--policy", "bad.yaml"], "bad.yaml:5:1: unknown key 'quota'"),
    "a bad region": (["good.raw", "--region", "US East"], "that is no region"),
    "html over the image": (["good.raw", "--html", "good.raw"], "it is the image itself"),
    "html over a link to it": (["good.raw", "--html", "link"], "it is the image itself"),
    "html nowhere": (["good.raw", "--html", "no/such/folder.html"], "its folder does not exist"),
    "html into a folder": (["good.raw", "--html", "."], "a folder"),
    "two to stdout": (["good.raw", "--html", "-", "--sbom", "-"], "only one thing can go to standard output"),
    "html and JSON to stdout": (["good.raw", "--html", "-", "--json"], "only one thing can go to standard output"),
}


@pytest.mark.parametrize(("arguments", "why"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_ends_with_2_before_anything_is_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.raw").write_bytes(b"disk")
    Path("link").symlink_to("good.raw")
    os.mkfifo("pipe")
    Path("bad.yaml").write_text(POLICY + "quota: 3\n")
    code, out, err = check(capsys, *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert why in err
    assert Path("good.raw").read_bytes() == b"disk"


def test_the_page_goes_to_a_file_beside_the_report_or_to_stdout_alone(
    capsys: pytest.CaptureFixture[str], bad: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    code, out, _ = check(capsys, bad, "--html", file)
    assert (code, json.loads(out)["outcome"]) == (1, "blocked")
    assert file.read_text().startswith("<!doctype html>")
    assert "bad.raw" in file.read_text()
    code, out, _ = check(capsys, bad, "--html", "-")
    assert code == 1
    assert out.startswith("<!doctype html>")
    assert out.rstrip().endswith("</html>")


def say(monkeypatch: pytest.MonkeyPatch, made: Report) -> None:
    """Have the inspection find `made`."""

    async def fake(*_: Any, **__: Any) -> Report:
        return made

    monkeypatch.setattr(services.checker.handlers.check_file, "check_file", fake)


def test_without_packages_there_is_no_bill_of_materials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, good: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bom.json"
    bare = ext4(tmp_path / "bare.raw", Root({"var/lib/dpkg/status": None}))
    code, out, err = check(capsys, bare, "--sbom", file)
    assert (code, file.exists(), json.loads(out)["outcome"]) == (ExitCode.USAGE, False, "undetermined")
    assert "no package database was found" in err
    unread = {"type": "rpm", "complete": False, "error": "the rpm package database could not be read: of noise"}
    say(monkeypatch, report(item("GUESTOS.Fstab"), packages=[unread]))
    code, _, err = check(capsys, good, "--sbom", file)
    assert (code, file.exists()) == (ExitCode.USAGE, False)
    assert unread["error"] in err
    packages = [{"type": "deb", "packages": [{"name": "bash", "version": "5.2"}]}]
    say(monkeypatch, report(item("GUESTOS.Fstab"), packages=packages))
    code, out, _ = check(capsys, good, "--sbom", file)
    assert (code, json.loads(out)["outcome"]) == (3, "undetermined")
    (component,) = json.loads(file.read_text())["components"]
    assert component["purl"] == "pkg:deb/debian/bash@5.2"


def test_the_packages_of_an_image_are_written_as_a_bill_of_materials(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stanza = b"Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.11-1~deb12u1\n"
    image = ext4(tmp_path / "disk.raw", Root({"var/lib/dpkg/status": stanza}))
    code, out, _ = check(capsys, image, "--sbom", "-")
    (component,) = json.loads(out)["components"]
    assert (code, component["purl"]) == (
        0,
        "pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl",
    )


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_of_any_width_shows_problems_first(columns: int, terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=columns, force_terminal=terminal, markup=False, highlight=False)
    console.print(drawn(blocked(), NAME))
    text = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())  # type: ignore[attr-defined]
    assert ("\x1b[" in console.file.getvalue()) == terminal  # type: ignore[attr-defined]
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) <= 60
    words = " ".join(text.split())
    order = ["BLOCKED", "2 items keep this image", "not judged for want of a database", "FAILED GUESTOS.Fstab", "/etc/fstab:3"]
    order += [
        "FAILED SECURITY.Vulnerabilities",
        "unjudged SECURITY.Malware",
        "warning GUESTOS.Dhcp",
        "in order: Architecture x86_64",
    ]
    order += [
        "428.3 MB (2.1 GB as a disk)",
        "policy inspect, rules 2, databases: debian-tracker of 2026-01-12 (sha256:9f86d081884c…)",
        "confined by",
    ]
    at = 0
    for part in order:
        assert words.find(part, at) >= 0, part
        at = words.find(part, at)


def test_nothing_a_stranger_wrote_acts_on_the_terminal() -> None:
    hostile = report(
        item(
            "GUESTOS.Fstab", "failed", value=HOSTILE, advice=HOSTILE, evidence=[{"path": HOSTILE, "line": 1, "text": HOSTILE}] * 9
        ),
        item("GUESTOS.Platform", value=HOSTILE),
        databases=[{"name": HOSTILE[:60], "version": "1", "date": HOSTILE[:60]}],
        outcome="blocked",
        blocking=["GUESTOS.Fstab"],
        reasons=[HOSTILE],
        unjudged=[{"item": "SECURITY.Malware", "reason": HOSTILE}],
        confinement=[HOSTILE[:60]],
        image={"digest": "sha256:" + "a" * 64, "size_bytes": 1, "format": HOSTILE[:60]},
    )
    console = Console(file=io.StringIO(), width=100, markup=False, highlight=False)
    console.print(drawn(hostile, HOSTILE))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(one.isprintable() or one == "\n" for one in text)
    assert "\\u001b[2J" in text
    assert "… and 6 more" in text


def test_a_page_that_cannot_be_written_is_told(good: Path) -> None:
    from cli.commands.check import _write

    with pytest.raises(CommandError, match="the report cannot be written"):
        _write(good / "below.html", "x")


def test_every_format_that_is_read_can_be_stated() -> None:
    assert {choice.value for choice in DiskFormatChoice} == set(get_args(DiskFormat)) - {"iso"}
