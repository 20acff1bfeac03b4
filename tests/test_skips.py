"""The list of allowed skips is enforced: what is not on it fails the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import Allowed, SkipWatch, read_list

PROJECT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "body",
    ["@pytest.mark.skip(reason='not today')\ndef test_it(): pass", "pytest.skip('not today', allow_module_level=True)"],
    ids=["a test", "a module"],
)
def test_unlisted_skip_fails_the_run(tmp_path: Path, body: str) -> None:
    (tmp_path / "test_lazy.py").write_text(f"import pytest\n{body}\ndef test_other(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-c", str(tmp_path / "pytest.ini"), "-p", "tests.skips", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "not listed" in done.stdout
    assert "not today" in done.stdout


def test_listed_skip_is_let_pass_only_for_its_reason() -> None:
    watch = SkipWatch([Allowed("tests/x.py::test_a", "no namespaces", "containers may refuse them")])
    watch._judge("tests/x.py::test_a[1]", ("x.py", 3, "Skipped: no namespaces here"))
    assert not watch.unlisted
    watch._judge("tests/x.py::test_a[1]", ("x.py", 3, "Skipped: slow"))
    watch._judge("tests/x.py::test_b", ("x.py", 9, "Skipped: no namespaces here"))
    assert len(watch.unlisted) == 2


def test_entry_that_would_allow_anything_is_refused() -> None:
    with pytest.raises(pytest.UsageError):
        read_list('[[skip]]\ntest = ""\nreason = "x"\nbecause = "y"\n')
