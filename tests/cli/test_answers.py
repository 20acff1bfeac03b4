"""How answers are shown, and which of them are refusals."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from cli.answers import answer_view, evidence_lines, refused

PROBLEM = {
    "code": "ImageCheck.Failed",
    "advice": "correct fstab",
    "item": "GUESTOS.Fstab",
    "value": "Fstab.NoSuchDevice",
    "evidence": [{"path": "/etc/fstab", "line": 2, "text": "UUID=0 / ext4"}, {"sha256": "ab"}],
}


def answer(kind: str, **change: Any) -> dict[str, Any]:
    return {"type": f"org.imagecommons.{kind}.v1", "request_id": "r", "change": change}


def shown(document: dict[str, Any]) -> str:
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(answer_view(document))
    return capture.get()


@pytest.mark.parametrize(
    ("document", "is_refused"),
    [
        (answer("image.published", message="x is published"), False),
        (answer("publication.refused", problems=[PROBLEM]), True),
        (answer("request.refused"), True),
        (answer("instance.refused"), True),
        (answer("request.rehearsed", would_be="org.imagecommons.publication.refused.v1", problems=[PROBLEM]), True),
        (answer("request.rehearsed", would_be="org.imagecommons.image.published.v1"), False),
        (answer("publication.withdrawn"), False),
    ],
)
def test_refusals_are_told_by_type_or_problems(document: dict[str, Any], is_refused: bool) -> None:
    assert refused(document) is is_refused
    assert shown(document).startswith("✗" if is_refused else "✓")


def test_refusal_shows_code_what_it_met_advice_and_evidence() -> None:
    text = shown(answer("publication.refused", message="refused", problems=[PROBLEM]))
    for part in ("ImageCheck.Failed", "GUESTOS.Fstab", "Fstab.NoSuchDevice", "correct fstab", "/etc/fstab:2: UUID=0 / ext4"):
        assert part in text


def test_warnings_come_with_the_name_they_suggest() -> None:
    text = shown(answer("image.published", message="done", warnings=[{"message": "unusual name", "suggested_name": "debian12"}]))
    assert "unusual name (suggested name: debian12)" in text


def test_text_of_a_stranger_is_neither_markup_nor_escape_sequence() -> None:
    text = shown(answer("request.refused", message="[bold]\x1b[2J[/bold]"))
    assert "[bold]\\u001b[2J[/bold]" in text


def test_evidence_without_a_path_shows_what_it_has() -> None:
    assert evidence_lines(PROBLEM) == ["/etc/fstab:2: UUID=0 / ext4", "ab"]
    assert evidence_lines({"code": "x"}) == []
