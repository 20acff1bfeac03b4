"""The registry says what the design says: who writes and reads each topic, what its key is, which types answer which request."""

import re

import pytest
from pydantic import BaseModel

from shared.contracts.codes import CODES, Code
from shared.contracts.envelope import JSON_DEPTH_MAX
from shared.contracts.registry import REGISTRY, EventType, answers_to, event_type_of
from shared.contracts.requests import Request
from shared.contracts.topics import EVENT_BYTES_MAX, PARTITIONS, RECORD_BYTES_MAX, TOPICS

_SEVEN_DAYS_MS = 7 * 24 * 60 * 60 * 1000
_THIRTY_DAYS_MS = 30 * 24 * 60 * 60 * 1000
_ALL_SERVICES = ("publisher", "checker", "catalog", "launcher")
_ANY_ID = "image id or account id"

TABLE: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], int | None]] = {
    "image-facts": ("image id", ("upstream",), ("publisher",), None),
    "account-facts": ("account id", ("upstream",), ("publisher",), None),
    "publication-requests": (_ANY_ID, ("upstream",), ("publisher",), _SEVEN_DAYS_MS),
    "operator-requests": (_ANY_ID, ("operator",), ("publisher",), _SEVEN_DAYS_MS),
    "check-jobs": ("image id", ("publisher",), ("checker",), _SEVEN_DAYS_MS),
    "check-results": ("image id", ("checker",), ("publisher",), _SEVEN_DAYS_MS),
    "image-events": ("image id", ("publisher",), ("catalog", "launcher", "granted"), None),
    "account-events": ("account id", ("publisher",), ("launcher", "granted"), None),
    "instance-requests": ("instance id", ("upstream",), ("launcher",), _SEVEN_DAYS_MS),
    "instance-events": ("instance id", ("launcher",), ("catalog", "granted"), None),
    "dead-letters": ("origin topic", _ALL_SERVICES, ("operator",), _THIRTY_DAYS_MS),
}
"""Topic: key, writers, readers, how long kept."""

ANSWERS: dict[tuple[str, str], tuple[str, set[str]]] = {
    ("publication-requests", "publish.requested"): ("image-events", {"image.published", "publication.refused"}),
    ("publication-requests", "unpublish.requested"): (
        "image-events",
        {"image.unpublished", "publication.withdrawn", "request.refused"},
    ),
    ("publication-requests", "share.requested"): ("image-events", {"image.shared", "request.refused"}),
    ("publication-requests", "unshare.requested"): ("image-events", {"image.unshared", "request.refused"}),
    ("operator-requests", "permit.requested"): ("account-events", {"account.permitted", "request.refused"}),
    ("operator-requests", "take-down.requested"): ("image-events", {"image.taken-down", "request.refused"}),
    ("operator-requests", "take-down-lift.requested"): ("image-events", {"image.take-down-lifted", "request.refused"}),
    ("instance-requests", "launch.requested"): ("instance-events", {"instance.launched", "instance.refused"}),
    ("instance-requests", "reinit.requested"): ("instance-events", {"instance.reinitialised", "instance.refused"}),
    ("instance-requests", "replace-os.requested"): ("instance-events", {"instance.os-replaced", "instance.refused"}),
    ("instance-requests", "release.requested"): ("instance-events", {"instance.released", "instance.refused"}),
}
"""Request: where it is answered, and by what; a dry run besides by `request.rehearsed`."""

REQUESTS = [each for each in REGISTRY.values() if each.place.requests]
each_type = pytest.mark.parametrize("event_type", REGISTRY.values(), ids=lambda each: f"{each.topic}/{each.name}")
each_request = pytest.mark.parametrize("event_type", REQUESTS, ids=lambda each: each.name)


def test_the_topics_are_those_of_the_design() -> None:
    assert {topic.name: (topic.key, topic.writers, topic.readers, topic.retention_ms) for topic in TOPICS.values()} == TABLE
    assert PARTITIONS == 16


def test_the_limits_are_those_of_the_design() -> None:
    assert (EVENT_BYTES_MAX, RECORD_BYTES_MAX, JSON_DEPTH_MAX) == (64 * 1024, 128 * 1024, 32)


def test_every_topic_carries_something() -> None:
    assert {each.topic for each in REGISTRY.values()} == set(TOPICS)


@each_type
def test_every_type_has_writers_and_readers(event_type: EventType) -> None:
    assert event_type.place.writers
    assert event_type.place.readers
    assert set(event_type.place.writers) <= {*_ALL_SERVICES, "upstream", "operator"}
    assert set(event_type.place.readers) <= {*_ALL_SERVICES, "operator", "granted"}


@each_type
def test_the_registry_is_keyed_by_topic_and_full_type(event_type: EventType) -> None:
    assert REGISTRY[event_type.topic, event_type.type] is event_type
    assert re.fullmatch(r"org\.imagecommons\.[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.v1", event_type.type)


@each_type
def test_a_body_belongs_to_one_type(event_type: EventType) -> None:
    assert event_type_of(event_type.model) is event_type


@each_type
def test_the_key_is_a_field_that_must_be_there(event_type: EventType) -> None:
    if event_type.key_field is None:
        assert event_type.topic == "dead-letters"
        return
    model: type[BaseModel] = event_type.model
    *path, name = event_type.key_field.split(".")
    assert path == (["state"] if event_type.place.carries_state else [])
    for step in path:
        field = model.model_fields[step]
        (model,) = (each for each in field.annotation.__args__ if each is not type(None))  # type: ignore[union-attr]
        assert field.is_required()
    assert model.model_fields[name].is_required()
    assert name.removesuffix("_id") in event_type.place.key


@each_type
def test_state_travels_on_topics_of_state_alone(event_type: EventType) -> None:
    assert ({"state", "change"} <= set(event_type.model.model_fields)) is event_type.place.carries_state


@each_type
def test_requests_have_an_actor_and_others_no_answers(event_type: EventType) -> None:
    assert issubclass(event_type.model, Request) is event_type.place.requests
    assert bool(event_type.answered_by) is event_type.place.requests


def test_every_request_of_the_design_is_there() -> None:
    assert {(each.topic, each.name) for each in REQUESTS} == set(ANSWERS)


@each_request
def test_a_request_names_its_answers(event_type: EventType) -> None:
    topic, names = ANSWERS[event_type.topic, event_type.name]
    answers = [event_type_of(model) for model in event_type.answered_by]
    assert {answer.topic for answer in answers} == {topic}
    assert {answer.name for answer in answers} == {*names, "request.rehearsed"}
    assert len(answers) == len(names) + 1
    assert answers_to(event_type.model) == tuple(answer.type for answer in answers)


@each_request
def test_who_reads_a_request_writes_its_answer(event_type: EventType) -> None:
    for model in event_type.answered_by:
        assert event_type_of(model).place.writers == event_type.place.readers


def test_checking_is_no_answer() -> None:
    assert all("publication.checking" not in type_ for each in REQUESTS for type_ in answers_to(each.model))


def test_a_class_that_is_no_body_has_no_type() -> None:
    with pytest.raises(KeyError):
        event_type_of(BaseModel)


def test_every_code_has_its_advice() -> None:
    assert set(CODES) == set(Code)
    assert all(info.advice and (info.rule is None or 1 <= info.rule <= 12) for info in CODES.values())
