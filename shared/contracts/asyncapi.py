"""The AsyncAPI 3.0 document of the registry: channels, messages, operations, shapes.

Source: AsyncAPI specification 3.0.0, Kafka bindings 0.5.0; shapes are JSON Schema draft-07, as its default schema format has it.
"""

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from shared.contracts.base import IDENTIFIER_PATTERN
from shared.contracts.codes import CODES
from shared.contracts.envelope import HEADER_BYTES_MAX, HEADERS_MAX, JSON_DEPTH_MAX, SEQUENCE_MAX
from shared.contracts.registry import REGISTRY, TYPE_PREFIX, EventType, event_type_of
from shared.contracts.topics import EVENT_BYTES_MAX, PARTITIONS, RECORD_BYTES_MAX, TOPICS, Topic

PREFIX: Final = "imagecommons."
"""What topics' names begin with, unless a deployment sets another."""

_TEXT_MAX: Final = 256
_DAY_MS: Final = 24 * 60 * 60 * 1000
_SCHEMAS: Final = "#/components/schemas/"
_BINDING: Final = "0.5.0"
_DESCRIPTION: Final = f"""\
Events of Image Commons. Each record of a topic is a CloudEvent 1.0 in Kafka's binary mode: attributes in headers `ce_*`, the
body as JSON in the value. `golden/<topic>/<type>.json` beside this document holds a full example of each.

- `ce_source` and `ce_id` together are an event's identity: the same identity again is a duplicate, with other bytes a dead
  letter.
- `ce_subject` is the record's key. `ce_sequence` is counted per topic and key by its one writer, from 1, with gaps; readers
  ignore what is not newer than what they hold. `ce_correlationid` is the `ce_id` of the request that caused an event.
- Each request gets exactly one answer, of one of the types in its operation's `reply`; a dry run gets a rehearsal.
- Fields not known are ignored on read and never written. An optional field that is null is read as absent; absent ones are
  left out.
- No text contains U+0000. Lengths are in characters. Numbers are not taken from text, nor text from numbers.
- An event has {EVENT_BYTES_MAX} bytes at most, nested {JSON_DEPTH_MAX} deep at most; {HEADERS_MAX} headers, \
{HEADER_BYTES_MAX} bytes each.
- The contract grows by addition: a change that an old reader could not bear is a new type with the next version.
"""
_HEADERS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "ce_specversion": ({"const": "1.0"}, "The version of CloudEvents."),
    "ce_id": ({"minLength": 1, "maxLength": _TEXT_MAX}, "The event's id, unique within its source; ours are UUIDv7."),
    "ce_source": ({"minLength": 1, "maxLength": _TEXT_MAX}, "Who wrote it, a URI reference."),
    "ce_type": ({}, "The event's type."),
    "ce_time": ({"format": "date-time"}, "When it happened, RFC 3339 with an offset."),
    "ce_subject": ({"minLength": 1}, "What it is about: the record's key."),
    "content-type": ({"pattern": r"^application/json"}, "The value's media type."),
    "ce_sequence": ({"pattern": r"^[1-9][0-9]{0,18}$"}, f"A decimal number, {SEQUENCE_MAX} at most."),
    "ce_correlationid": ({}, "The ce_id of the request that caused it."),
    "traceparent": ({}, "W3C Trace Context."),
}
_KINDS: Final = {
    "facts": "Facts: the whole of what their writer knows, each time.",
    "requests": "Requests: each gets exactly one answer.",
    "jobs": "Jobs.",
    "results": "Results of jobs.",
    "state": "State: every record holds the aggregate's whole public state after the event, beside what happened.",
    "dead-letters": "Records that a service could not take.",
}


def document() -> dict[str, Any]:
    """Return the AsyncAPI document of the registry as JSON-ready data, always in the same order."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Image Commons",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": {name: operation for topic in TOPICS.values() for name, operation in _operations(topic)},
        "components": {
            "messages": {message_name(event_type): _message(event_type) for event_type in REGISTRY.values()},
            "schemas": _schemas(),
        },
        "x-refusal-codes": {
            code.value: {
                **({} if info.rule is None else {"rule": info.rule}),
                "advice": info.advice,
                "retryable": info.retryable,
            }
            for code, info in sorted(CODES.items())
        },
    }


def versioned_name(event_type: EventType) -> str:
    """Return the type's name with its version, without the prefix that all types share."""
    return event_type.type.removeprefix(TYPE_PREFIX)


def message_name(event_type: EventType) -> str:
    """Return the message's name in the document: types that several topics have are messages of their own."""
    return f"{event_type.topic}.{versioned_name(event_type)}"


def _types_of(topic: Topic) -> list[EventType]:
    return [event_type for event_type in REGISTRY.values() if event_type.topic == topic.name]


def _channel(topic: Topic) -> dict[str, Any]:
    kept = "for ever" if topic.retention_ms is None else f"{topic.retention_ms // _DAY_MS} days"
    written, read = (", ".join(_people(names)) for names in (topic.writers, topic.readers))
    return {
        "address": "{prefix}" + topic.name,
        "title": topic.name,
        "description": (
            f"{_KINDS[topic.kind]} Kind: {topic.kind}. Key: {topic.key}. Partitions: {PARTITIONS}, for life. Kept {kept}. "
            f"Written by {written}; read by {read}."
        ),
        "messages": {
            versioned_name(event_type): {"$ref": f"#/components/messages/{message_name(event_type)}"}
            for event_type in _types_of(topic)
        },
        "parameters": {"prefix": {"default": PREFIX, "description": "The deployment's prefix."}},
        "bindings": {
            "kafka": {
                "partitions": PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": -1 if topic.retention_ms is None else topic.retention_ms,
                    "max.message.bytes": RECORD_BYTES_MAX,
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _people(names: tuple[str, ...]) -> list[str]:
    return ["anyone granted" if name == "granted" else name for name in names]


def _operations(topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    """Return who sends and who receives on `topic`: for requests one operation a type, as each has answers of its own."""
    types = _types_of(topic)
    groups = [(f"{topic.name}.{each.name}", [each]) for each in types] if topic.requests else [(topic.name, types)]
    return [
        (f"{who}.{action}.{name}", _operation(topic, action, who, group))
        for action, services in (("send", topic.writers), ("receive", topic.readers))
        for who in services
        for name, group in groups
    ]


def _operation(topic: Topic, action: str, who: str, types: list[EventType]) -> dict[str, Any]:
    verb = {"send": "writes", "receive": "reads"}[action]
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"{_people((who,))[0].capitalize()} {verb} {types[0].name if topic.requests else topic.name}.",
        "messages": [_of_channel(each) for each in types],
    }
    answers = [event_type_of(answer) for each in types for answer in each.answered_by]
    if answers:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{answers[0].topic}"},
            "messages": [_of_channel(answer) for answer in answers],
        }
    return operation


def _of_channel(event_type: EventType) -> dict[str, str]:
    return {"$ref": f"#/channels/{event_type.topic}/messages/{versioned_name(event_type)}"}


def _message(event_type: EventType) -> dict[str, Any]:
    key: dict[str, Any] = {"type": "string", "description": f"{event_type.place.key}; the same as ce_subject"}
    if event_type.key_field is not None:
        key["pattern"] = IDENTIFIER_PATTERN
        key["description"] += f" and, where it is there, the body's {event_type.key_field}"
    message: dict[str, Any] = {
        "name": event_type.type,
        "title": event_type.name,
        "summary": (event_type.model.__doc__ or "").strip(),
        "contentType": "application/json",
        "headers": _headers(event_type),
        "payload": {"$ref": _SCHEMAS + event_type.model.__name__},
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING}},
    }
    if event_type.place.carries_state:
        message["correlationId"] = {
            "location": "$message.header#/ce_correlationid",
            "description": "The ce_id of the request that caused it; absent where none did.",
        }
    return message


def _headers(event_type: EventType) -> dict[str, Any]:
    return {
        "allOf": [
            {"$ref": _SCHEMAS + ("SequencedHeaders" if event_type.place.sequenced else "Headers")},
            {"type": "object", "properties": {"ce_type": {"const": event_type.type}}},
        ]
    }


def _headers_schema(description: str, optional: set[str]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "properties": {name: {"type": "string", "description": said, **rule} for name, (rule, said) in _HEADERS.items()},
        "required": [name for name in _HEADERS if name not in optional],
    }


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema(
        [(event_type.model, "validation") for event_type in REGISTRY.values()], ref_template=_SCHEMAS + "{model}"
    )
    optional = {"ce_correlationid", "traceparent"}
    return {
        "Headers": _headers_schema("Headers of an event.", {*optional, "ce_sequence"}),
        "SequencedHeaders": _headers_schema("Headers of a fact, and of an event that carries state.", optional),
        **{name: _plain(schema) for name, schema in sorted(found["$defs"].items())},
    }


def _plain(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON schema
    """Return a part of a schema in draft-07, without titles, and without null where the field may be left out instead."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(value) for name, value in schema.items() if name not in {"title", "default", "properties"}}
    if "properties" in schema:
        plain["properties"] = {name: _plain(value) for name, value in schema["properties"].items()}
    if "prefixItems" in plain:
        plain["items"] = plain.pop("prefixItems")
    default = schema.get("default")
    if "default" in schema and default is None and "anyOf" in plain:
        others = [each for each in plain.pop("anyOf") if each != {"type": "null"}]
        plain = {**plain, **others[0]} if len(others) == 1 else {**plain, "anyOf": others}
    elif isinstance(default, str | bool | int):
        plain["default"] = default
    return plain
