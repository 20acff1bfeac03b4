"""The AsyncAPI document is what the registry says, whole in itself, and true of the golden events."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from shared.contracts.asyncapi import document, message_name
from shared.contracts.generate import FILE, main, rendered
from shared.contracts.registry import REGISTRY, answers_to
from shared.contracts.topics import TOPICS
from tests.contracts import golden
from tests.contracts.examples import EXAMPLES, Example

WAY_OUT = "run `python -m shared.contracts.generate` and commit contracts/asyncapi.yaml"
DOCUMENT: dict[str, Any] = document()
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=golden.name_of)


def resolved(reference: str) -> Any:
    """Return what `reference` points to; raises `KeyError` where there is nothing."""
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def schema(part: dict[str, Any]) -> dict[str, Any]:
    """Return `part` with the document's shapes beside it."""
    return {**part, "components": DOCUMENT["components"]}


def check(value: Any, part: dict[str, Any]) -> None:
    Draft7Validator(schema(part), format_checker=FormatChecker()).validate(value)


def strict(part: Any) -> Any:
    """Return a copy of a schema that knows no field but those it names."""
    if isinstance(part, list):
        return [strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    copy = {name: strict(value) for name, value in part.items()}
    if isinstance(part.get("properties"), dict) and part.get("type") == "object":
        copy["additionalProperties"] = False
    return copy


def test_the_file_is_what_the_registry_says() -> None:
    assert FILE.read_text(encoding="utf-8") == rendered(DOCUMENT), f"{FILE.name} differs: {WAY_OUT}"


def test_the_yaml_is_the_document_and_nothing_is_by_anchor() -> None:
    text = rendered(DOCUMENT)
    assert yaml.safe_load(text) == json.loads(json.dumps(DOCUMENT))
    assert not re.search(r"(: |- )[&*]\w", text)
    assert text == rendered(document())


def test_check_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "contracts" / "asyncapi.yaml"
    assert main(["--check"], folder=file.parent) == 1
    assert not file.exists()
    assert main([], folder=file.parent) == 0
    assert main(["--check"], folder=file.parent) == 0
    capsys.readouterr()
    file.write_text(file.read_text(encoding="utf-8").replace("maxLength: 2048", "maxLength: 4096"), encoding="utf-8")
    assert main(["--check"], folder=file.parent) == 1
    assert "run `python -m shared.contracts.generate`" in capsys.readouterr().err


def test_every_reference_leads_somewhere_and_every_shape_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert resolved(reference)
    for kind in ("messages", "schemas"):
        assert {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]} <= used


def test_every_topic_is_a_channel_with_its_types() -> None:
    assert list(DOCUMENT["channels"]) == list(TOPICS)
    for topic in TOPICS.values():
        channel = DOCUMENT["channels"][topic.name]
        assert channel["address"] == "{prefix}" + topic.name
        assert f"Kind: {topic.kind}." in channel["description"]
        assert "Partitions: 16" in channel["description"]
        assert channel["bindings"]["kafka"]["partitions"] == 16
        names = {resolved(message["$ref"])["name"] for message in channel["messages"].values()}
        assert names == {type_ for topic_name, type_ in REGISTRY if topic_name == topic.name}


def test_every_writer_sends_and_every_reader_receives_every_type() -> None:
    found = {
        (operation["action"], who.partition(".")[0], resolved(resolved(message["$ref"])["$ref"])["name"], channel_of(operation))
        for who, operation in DOCUMENT["operations"].items()
        for message in operation["messages"]
    }
    wanted = {
        (action, who, each.type, each.topic)
        for each in REGISTRY.values()
        for action, people in (("send", each.place.writers), ("receive", each.place.readers))
        for who in people
    }
    assert found == wanted


def channel_of(operation: dict[str, Any]) -> str:
    return str(operation["channel"]["$ref"]).rpartition("/")[2]


def test_a_request_names_its_replies() -> None:
    asked = {each.type: each for each in REGISTRY.values() if each.answered_by}
    seen = set()
    for operation in DOCUMENT["operations"].values():
        names = [resolved(resolved(message["$ref"])["$ref"])["name"] for message in operation["messages"]]
        if not set(names) & set(asked):
            assert "reply" not in operation
            continue
        (name,) = names
        replies = [resolved(resolved(message["$ref"])["$ref"])["name"] for message in operation["reply"]["messages"]]
        assert tuple(replies) == answers_to(asked[name].model)
        assert resolved(operation["reply"]["channel"]["$ref"])["messages"]
        seen.add(name)
    assert seen == set(asked)


@each_example
def test_golden_events_are_as_documented_and_hold_no_more(example: Example) -> None:
    message = DOCUMENT["components"]["messages"][message_name(example.event_type)]
    record = golden.document(example)
    check(record["key"], message["bindings"]["kafka"]["key"])
    check(record["headers"], message["headers"])
    assert message["name"] == record["headers"]["ce_type"]
    check(record["value"], message["payload"])
    narrow = strict(schema(message["payload"]))
    Draft7Validator(narrow).validate(record["value"])


@each_example
def test_what_must_be_there_is_documented_as_required(example: Example) -> None:
    message = DOCUMENT["components"]["messages"][message_name(example.event_type)]
    record = golden.document(example)
    required = {name for name, field in example.event_type.model.model_fields.items() if field.is_required()}
    for name in record["value"]:
        rest = {other: value for other, value in record["value"].items() if other != name}
        if name in required:
            with pytest.raises(ValidationError):
                check(rest, message["payload"])
        else:
            check(rest, message["payload"])
