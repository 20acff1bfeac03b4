"""What a command line would send: read by the command line itself, and kept instead of sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import cli.answers
import cli.facts
from cli.main import build


def parsed(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """Return the fact or the request that `image-commons arguments…` makes."""
    kept: list[BaseModel] = []

    def keep(model: BaseModel, **_: Any) -> None:
        kept.append(model)

    with monkeypatch.context() as patched:
        patched.setattr(cli.answers, "ask", keep)
        patched.setattr(cli.facts, "send_fact", keep)
        build(arguments)(arguments, standalone_mode=False)
    (only,) = kept
    return only
