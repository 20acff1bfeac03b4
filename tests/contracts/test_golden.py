"""The golden files are what we write and what we read: a change of a shape shows as a difference of files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shared.contracts.envelope import decode
from shared.contracts.registry import REGISTRY
from tests.contracts import golden
from tests.contracts.examples import APPENDED_MS, BY_MODEL, EXAMPLES, Example

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=golden.name_of)


def empty_fields(value: Any, path: str) -> Iterator[str]:
    """Yield the fields of `value` that are absent or hold nothing."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from empty_fields(getattr(value, name), f"{path}.{name}")
    elif value is None or value in ("", (), {}):
        yield path
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from empty_fields(item, f"{path}[{index}]")


def read(example: Example) -> dict[str, Any]:
    path = golden.FOLDER / golden.name_of(example)
    assert path.is_file(), f"{golden.name_of(example)} is missing: {golden.WAY_OUT}"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_every_type_has_one_example() -> None:
    missing = [f"{topic}: {type_}" for (topic, type_), each in REGISTRY.items() if each.model not in BY_MODEL]
    assert not missing, f"no example in tests/contracts/examples.py for {missing}"
    assert len(EXAMPLES) == len(REGISTRY)


@each_example
def test_an_example_is_full(example: Example) -> None:
    assert list(empty_fields(example.data, example.event_type.name)) == []


@each_example
def test_what_is_written_is_golden(example: Example) -> None:
    assert golden.document(example) == read(example), f"{golden.name_of(example)} differs: {golden.WAY_OUT}"


@each_example
def test_golden_is_read_as_the_example(example: Example) -> None:
    document = read(example)
    event = decode(
        example.event_type.topic,
        document["key"].encode(),
        [(name, text.encode()) for name, text in document["headers"].items()],
        json.dumps(document["value"]).encode(),
        APPENDED_MS,
    )
    assert event == example.event
    assert type(event.data) is example.event_type.model


def test_no_golden_file_is_left_over() -> None:
    found = [str(path.relative_to(golden.FOLDER)) for path in golden.stale()]
    assert not found, f"{found}: no type of the registry. A type once written is read for ever: keep it; else {golden.WAY_OUT}"


def test_writing_removes_what_is_left_over_and_writes_the_rest(tmp_path: Path) -> None:
    old = tmp_path / "image-events" / "image.forgotten.v1.json"
    old.parent.mkdir()
    old.write_text("{}")
    assert golden.stale(tmp_path) == [old]
    golden.write(tmp_path)
    assert golden.stale(tmp_path) == []
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.json")}
    committed = {str(path.relative_to(golden.FOLDER)): path.read_bytes() for path in golden.FOLDER.rglob("*.json")}
    assert written == committed, golden.WAY_OUT
