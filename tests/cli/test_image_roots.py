"""Which folders the checker may read from, and who said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cli.image_roots
from cli.image_roots import ROOTS_VARIABLE, ImageRoots, image_roots


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that a checkout has, beside one that it has not."""
    folder = tmp_path / "images"
    folder.mkdir()
    monkeypatch.setattr(cli.image_roots, "DEFAULT_FOLDERS", (tmp_path / "missing", folder))
    return folder


@pytest.mark.parametrize("text", ["/a:/b", '["/a", "/b"]', " /a:/b: "])
def test_the_environment_may_name_them_plainly_or_as_json(text: str) -> None:
    roots = image_roots([], {ROOTS_VARIABLE: text}, local=True)
    assert roots == ImageRoots(("/a", "/b"), ROOTS_VARIABLE)
    assert json.loads(roots.variable()) == ["/a", "/b"]


def test_the_option_wins(there: Path) -> None:
    roots = image_roots([there, there.parent], {ROOTS_VARIABLE: "/a"}, local=True)
    assert roots == ImageRoots((str(there), str(there.parent)), "--images")


def test_a_local_stack_reads_what_the_checkout_has(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots = image_roots([], {}, local=True)
    assert roots is not None
    assert roots.folders == (str(there),)
    roots.tell()
    assert str(there) in capsys.readouterr().err


def test_elsewhere_there_are_none_and_that_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    roots = image_roots([], {ROOTS_VARIABLE: ""}, local=False)
    assert roots is not None
    assert roots.folders == ()
    roots.tell()
    assert "warning" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[", "[1]"])
def test_what_is_no_list_is_left_to_the_settings_to_refuse(text: str) -> None:
    assert image_roots([], {ROOTS_VARIABLE: text}, local=True) is None
