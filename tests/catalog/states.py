"""States and events of images, as publisher would send them, and records of them as the broker would."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from uuid_utils import uuid7

from shared.contracts.envelope import Event, encode
from shared.contracts.image_events import ImageChange, ImageKnown, ImageState, PublicationView
from shared.contracts.registry import event_type_of
from shared.messaging.records import Record

REGION = "eu-1"
OWNER = "vendor"
FRIEND = "friend"
STRANGER = "stranger"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32


def publication(state: str = "published", publication_id: str = "pub-1") -> dict[str, Any]:
    return {"id": publication_id, "state": state, "since": BEGAN, "reason": "why it ended"}


def image_state(image_id: str = "img-1", **given: Any) -> ImageState:
    """Return a live community image, but for what is `given`; `public=False` gives it no publication."""
    public = given.pop("public", True)
    values: dict[str, Any] = {
        "image_id": image_id,
        "region": REGION,
        "owner_account_id": OWNER,
        "name": f"name-of-{image_id}",
        "description": "an image",
        "status": "Available",
        "encrypted": False,
        "created_at": BEGAN,
        "derived_from": "private-ancestor",
        "tags": {"acs:ecs:image:osVersion": "Debian 12", "acs:ecs:image:architecture": "x86_64"},
        "publication": publication() if public else None,
        "check": {
            "report_id": "report-1",
            "report_sha256": "cd" * 32,
            "image_digest": DIGEST,
            "rules_version": "1",
            "checked_at": BEGAN,
            "outcome": "passed",
            "policy_version": "gate-1",
        },
        **given,
    }
    if isinstance(values["publication"], dict):
        values["publication"] = PublicationView.model_validate(values["publication"], strict=False)
    return ImageState.model_validate({name: value for name, value in values.items() if value is not None}, strict=False)


def image_event(state: ImageState | None, *, sequence: int = 1, image_id: str | None = None, minutes: int = 0) -> Event[Any]:
    """Return what a handler is given."""
    subject = state.image_id if state is not None else image_id or "img-1"
    return Event(
        id=str(uuid7()),
        source="/image-commons/publisher",
        type=event_type_of(ImageKnown).type,
        subject=subject,
        time=BEGAN + timedelta(minutes=minutes),
        data=ImageKnown(state=state, change=ImageChange()),
        sequence=sequence,
    )


PARTITION = 77
"""Where tests read from: no key's real partition, so that a test can say how far those were read."""


class Log:
    """Writes records of one topic, in one partition, one after the other."""

    def __init__(self, topic: str, source: str = "/image-commons/publisher") -> None:
        self.topic, self.source = topic, source
        self._offsets: Iterator[int] = iter(range(1_000_000))

    def record(
        self, data: BaseModel, key: str, *, sequence: int | None = None, age: timedelta = timedelta(0), **more: Any
    ) -> Record:
        """Return the next record, appended `age` ago."""
        moment = datetime.now(UTC) - age
        given = {"id": str(uuid7()), "time": moment, **more}
        headers, value = encode(data, source=self.source, subject=key, sequence=sequence, **given)
        return self.raw(key, list(headers), value, age)

    def raw(
        self, key: str, headers: list[tuple[str, bytes | None]], value: bytes | None, age: timedelta = timedelta(0)
    ) -> Record:
        """Return the next record, of whatever bytes."""
        timestamp_ms = int((datetime.now(UTC) - age).timestamp() * 1000)
        return Record(self.topic, PARTITION, next(self._offsets), key.encode(), headers, value, timestamp_ms)

    def image(self, state: ImageState | None, *, sequence: int, image_id: str = "img-1") -> Record:
        """Return the next record, of an image's state."""
        key = image_id if state is None else state.image_id
        return self.record(ImageKnown(state=state, change=ImageChange()), key, sequence=sequence)

    def garbage(self, record: Record) -> Record:
        """Return the next record: as `record`, with a value that is no JSON."""
        return self.raw((record.key or b"").decode(), list(record.headers), b"{")
