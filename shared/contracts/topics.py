"""The topics: who writes and reads each, what its key is, how long it is kept (contracts, Topics)."""

from dataclasses import dataclass
from typing import Final, Literal

PARTITIONS: Final = 16
"""Partitions of every topic, fixed for life: a key's order depends on the count."""

EVENT_BYTES_MAX: Final = 64 * 1024
RECORD_BYTES_MAX: Final = 128 * 1024
_DAY_MS: Final = 24 * 60 * 60 * 1000

Kind = Literal["facts", "requests", "jobs", "results", "state", "dead-letters"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic by its short name; the full one has the deployment's prefix before it.

    `retention_ms` is None where records are kept for ever.
    """

    name: str
    kind: Kind
    key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    retention_ms: int | None

    @property
    def carries_state(self) -> bool:
        """Whether every record holds the whole public state of its aggregate, with a sequence per key."""
        return self.kind == "state"

    @property
    def sequenced(self) -> bool:
        """Whether readers drop what is not newer than what they hold, per key."""
        return self.kind in {"facts", "state"}

    @property
    def requests(self) -> bool:
        """Whether its records want an answer and may be parked."""
        return self.kind == "requests"


TOPICS: Final[dict[str, Topic]] = {
    topic.name: topic
    for topic in (
        Topic("image-facts", "facts", "image id", ("upstream",), ("publisher",), None),
        Topic("account-facts", "facts", "account id", ("upstream",), ("publisher",), None),
        Topic("publication-requests", "requests", "image id or account id", ("upstream",), ("publisher",), 7 * _DAY_MS),
        Topic("operator-requests", "requests", "image id or account id", ("operator",), ("publisher",), 7 * _DAY_MS),
        Topic("check-jobs", "jobs", "image id", ("publisher",), ("checker",), 7 * _DAY_MS),
        Topic("check-results", "results", "image id", ("checker",), ("publisher",), 7 * _DAY_MS),
        Topic("image-events", "state", "image id", ("publisher",), ("catalog", "launcher", "granted"), None),
        Topic("account-events", "state", "account id", ("publisher",), ("launcher", "granted"), None),
        Topic("instance-requests", "requests", "instance id", ("upstream",), ("launcher",), 7 * _DAY_MS),
        Topic("instance-events", "state", "instance id", ("launcher",), ("catalog", "granted"), None),
        Topic(
            "dead-letters",
            "dead-letters",
            "origin topic",
            ("publisher", "checker", "catalog", "launcher"),
            ("operator",),
            30 * _DAY_MS,
        ),
    )
}
