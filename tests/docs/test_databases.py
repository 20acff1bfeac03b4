"""docs/databases.md says what is so: kinds, codes, metrics, files."""

import re
from pathlib import Path

from services.checker.adapters.databases.inputs import InputLimits
from services.checker.adapters.databases.kinds import KINDS
from services.checker.adapters.databases.manifest import FILE
from shared.telemetry import metrics

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docs/databases.md").read_text()
JUDGED = (PROJECT / "services/checker/domain/vulnerabilities.py").read_text()


def test_kinds_in_the_table_and_in_the_examples() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE) == [
        "osv",
        "debian-tracker",
        "debian-suite",
        "known-exploited",
        "yara",
    ]
    assert set(KINDS) == {"osv", "debian-tracker", "debian-suite", "known-exploited", "yara"}
    assert set(re.findall(r"databases add ([a-z-]+) ", TEXT)) <= set(KINDS)


def test_codes() -> None:
    told = set(re.findall(r"Vulnerabilities\.(\w+)", TEXT)) | set(re.findall(r"\(`([A-Z]\w+)`\)", TEXT))
    made = set(re.findall(r'_unsupported\(\s*"(\w+)"', JUDGED)) | set(re.findall(r'"(?:failed|warning)", "(\w+)"', JUDGED))
    assert told | {"NotComparable"} == made


def test_metrics_files_and_bounds() -> None:
    for metric in (metrics.DATABASE_AGE_SECONDS, metrics.DATABASES_MISSING):
        assert metric.describe()[0].name in TEXT
    assert FILE in TEXT
    limits = InputLimits()
    assert (limits.file_bytes >> 30, limits.unpacked_bytes >> 30, limits.ratio, limits.entry_bytes >> 20) == (4, 8, 200, 16)
    assert "4 GiB at most and unpacks to 8 GiB at most, and to 200 times its size" in TEXT
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PROJECT / "docs" / target).exists(), target
