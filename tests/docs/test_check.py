"""docs/check.md says what is so: exit codes, the example policy, the mistakes it shows, the files it names."""

import re
from pathlib import Path

import pytest

from cli.commands.check import EXIT_CODES
from shared.contracts.rules import KNOWN_ITEMS
from shared.policy import PolicyError, load_policy

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docs/check.md").read_text()
(EXAMPLE,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_exit_codes() -> None:
    told = {outcome: int(code) for code, outcome in re.findall(r"^\| (\d) \| (\w+) \|", TEXT, re.MULTILINE)}
    assert told == EXIT_CODES


def test_the_example_is_a_policy(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(EXAMPLE)
    policy = load_policy(tmp_path / "mine.yaml")
    assert policy.label.startswith("mine:2026.3:")
    assert policy.region("us-east-1").gate.vulnerabilities.severity == "medium"
    assert set(re.findall(r"(?:GUESTOS|SECURITY)\.\w+", TEXT)) - KNOWN_ITEMS == {"GUESTOS.Dhpc"}


def test_its_mistakes_are_told_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = EXAMPLE.replace("GUESTOS.Dhcp: [warning]", "GUESTOS.Dhpc: [warning]").replace("severity: high ", "severity: grave ")
    Path("mine.yaml").write_text(wrong)
    with pytest.raises(PolicyError) as caught:
        load_policy("mine.yaml")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert str(caught.value) == shown.rstrip()


def test_files_it_names_are_there() -> None:
    for target in [*re.findall(r"\]\(([^)#]+)\)", TEXT), "../contracts/report.schema.json", "../shared/policy/gate.yaml"]:
        assert (PROJECT / "docs" / target).exists(), target
