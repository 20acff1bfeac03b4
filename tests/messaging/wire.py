"""Records as a stranger would write them: headers and bytes, built without the code under test."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from uuid_utils import uuid7

from shared.messaging.partitions import partition_of
from shared.messaging.records import Record

UPSTREAM = "/upstream/accounts"
Headers = list[tuple[str, bytes | None]]


def account(account_id: str = "acc-1", *, name: str = "Acme") -> dict[str, Any]:
    """Return an account fact's data."""
    return {"account_id": account_id, "status": "active", "enterprise_verified": True, "display_name": name}


def headers(
    event_type: str,
    subject: str,
    *,
    sequence: int | str | None = None,
    event_id: str | None = None,
    source: str = UPSTREAM,
    **more: str,
) -> Headers:
    """CloudEvents headers in Kafka's binary mode."""
    found: dict[str, str] = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": event_id or str(uuid7()),
        "ce_source": source,
        "ce_type": event_type,
        "ce_time": "2026-01-01T00:00:00Z",
        "ce_subject": subject,
        **more,
    }
    if sequence is not None:
        found["ce_sequence"] = str(sequence)
    return [(name, value.encode()) for name, value in found.items()]


def fact(
    account_id: str = "acc-1",
    *,
    sequence: int | str | None = 1,
    name: str = "Acme",
    event_id: str | None = None,
    source: str = UPSTREAM,
    **more: str,
) -> "Draft":
    """Return an account fact."""
    found = headers("org.imagecommons.account.stated.v1", account_id, sequence=sequence, event_id=event_id, source=source, **more)
    return Draft("account-facts", account_id.encode(), found, json.dumps(account(account_id, name=name)).encode())


def known(account_id: str = "acc-1", *, sequence: int = 1, name: str = "Acme", event_id: str | None = None) -> "Draft":
    """Return the publisher's word on an account, with no request behind it."""
    found = headers(
        "org.imagecommons.account.known.v1", account_id, sequence=sequence, event_id=event_id, source="/image-commons/publisher"
    )
    value = {"state": account(account_id, name=name), "change": {}}
    return Draft("account-events", account_id.encode(), found, json.dumps(value).encode())


def permit(account_id: str = "acc-1", *, ticket: str = "T-1", event_id: str | None = None, **more: str) -> "Draft":
    """Return an operator's request to permit an account to publish."""
    found = headers("org.imagecommons.permit.requested.v1", account_id, event_id=event_id, source="/operators", **more)
    value = {"actor": {"kind": "operator", "id": "op-1"}, "region": "eu-1", "account_id": account_id, "ticket": ticket}
    return Draft("operator-requests", account_id.encode(), found, json.dumps(value).encode())


class Draft:
    """A record that has no place in a log yet."""

    def __init__(self, topic: str, key: bytes | None, found: Headers, value: bytes | None) -> None:
        """Say what to write."""
        self.topic, self.key, self.headers, self.value = topic, key, found, value

    def with_header(self, name: str, value: bytes | None) -> "Draft":
        """Return this record with header `name` replaced."""
        kept = [(other, text) for other, text in self.headers if other != name]
        return Draft(self.topic, self.key, [*kept, (name, value)], self.value)

    def without_header(self, name: str) -> "Draft":
        """Return this record without header `name`."""
        return Draft(self.topic, self.key, [pair for pair in self.headers if pair[0] != name], self.value)

    def with_value(self, value: bytes | None) -> "Draft":
        """Return this record with other bytes."""
        return Draft(self.topic, self.key, self.headers, value)

    def with_key(self, key: bytes | None) -> "Draft":
        """Return this record under another key."""
        return Draft(self.topic, key, self.headers, self.value)

    @property
    def event_id(self) -> str:
        """Its `ce_id`."""
        return next(value.decode() for name, value in self.headers if name == "ce_id" and value is not None)

    def at(self, offset: int, *, partition: int | None = None) -> Record:
        """Return this record at a place in its log."""
        place = partition_of(self.key.decode()) if partition is None and self.key is not None else partition or 0
        return Record(self.topic, place, offset, self.key, self.headers, self.value, int(time.time() * 1000))


def request_data(value: bytes) -> Mapping[str, Any]:
    """Return the JSON of a value."""
    found: Mapping[str, Any] = json.loads(value)
    return found


def numbered(drafts: Sequence[Draft], start: int = 0) -> list[Record]:
    """Place `drafts` one after the other in one partition."""
    return [draft.at(start + position, partition=0) for position, draft in enumerate(drafts)]
