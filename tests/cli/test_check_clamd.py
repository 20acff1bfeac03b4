"""`check --clamd`: an address, or usage."""

from pathlib import Path

import pytest

from cli.errors import ExitCode
from tests.cli.test_check import check


@pytest.mark.parametrize("address", ["nonsense", "unix:relative", "tcp:host"])
def test_what_is_no_address_ends_with_2_before_anything_is_checked(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = check(capsys, tmp_path / "nothing", "--clamd", address)
    assert code == ExitCode.USAGE
    assert "no address of clamd" in said
