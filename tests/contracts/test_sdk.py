"""The CloudEvents SDK as a foreign reader and writer: Kafka's binary mode, both ways."""

import json
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from shared.contracts.envelope import Undecodable, decode
from tests.contracts import golden
from tests.contracts.examples import APPENDED_MS, EXAMPLES, Example

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=golden.name_of)
_TRACE = "traceparent"


def foreign(example: Example) -> CloudEvent:
    """Return the example as a stranger would make it: from JSON, by the SDK."""
    event = example.event
    attributes: dict[str, Any] = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "specversion": "1.0",
        "time": event.time,
        "subject": event.subject,
        "datacontenttype": "application/json",
        "partitionkey": example.key,
    }
    if event.sequence is not None:
        attributes["sequence"] = str(event.sequence)
    if event.correlation_id is not None:
        attributes["correlationid"] = event.correlation_id
    return CloudEvent(attributes, json.loads(example.encoded()[1]))


def message(example: Example) -> KafkaMessage:
    headers, value = example.encoded()
    return KafkaMessage(headers=dict(headers), key=example.key.encode(), value=value)


@each_example
def test_the_sdk_reads_what_we_write(example: Example) -> None:
    read = from_binary(message(example), JSONFormat())
    assert read.get_attributes() == foreign(example).get_attributes()
    assert read.get_data() == json.loads(example.encoded()[1])


@each_example
def test_the_sdk_tells_our_records_for_binary_mode(example: Example) -> None:
    read = from_kafka(message(example), JSONFormat())
    assert (read.get_id(), read.get_type(), read.get_subject()) == (example.event.id, example.event.type, example.key)


@each_example
def test_we_read_what_the_sdk_writes(example: Example) -> None:
    written = to_binary(foreign(example), JSONFormat())
    assert isinstance(written.key, str)
    # The SDK knows no traceparent: W3C's header is no attribute and has no prefix.
    headers = [*written.headers.items(), (_TRACE, (example.event.traceparent or "").encode())]
    assert decode(example.event_type.topic, written.key.encode(), headers, written.value, APPENDED_MS) == example.event


@each_example
def test_a_record_goes_through_the_sdk_unharmed(example: Example) -> None:
    written = to_binary(from_binary(message(example), JSONFormat()), JSONFormat())
    headers = [(name, raw) for name, raw in example.encoded()[0] if name == _TRACE]
    event = decode(
        example.event_type.topic, example.key.encode(), [*headers, *written.headers.items()], written.value, APPENDED_MS
    )
    assert event == example.event


def test_structured_mode_is_refused() -> None:
    example = EXAMPLES[0]
    written = to_structured(foreign(example), JSONFormat())
    with pytest.raises(Undecodable) as refused:
        decode(example.event_type.topic, example.key.encode(), list(written.headers.items()), written.value, APPENDED_MS)
    assert refused.value.reason_code == "header_missing"
