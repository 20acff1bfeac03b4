"""The registry of events: type, topic, model, and which types answer which request.

The one table from which decoding, emitting, the AsyncAPI document and the golden files are made.
"""

from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from shared.contracts import account_events, checks, dead_letters, facts, image_events, instance_events, requests
from shared.contracts.topics import TOPICS, Topic

TYPE_PREFIX: Final = "org.imagecommons."


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event on one topic.

    `key_field` names the body's field that is the record's key: a path of one name, or of two where it is inside `state`;
    `answered_by` are the models of which exactly one answers it.
    """

    name: str
    topic: str
    model: type[BaseModel]
    key_field: str | None
    answered_by: tuple[type[BaseModel], ...] = ()
    type: str = field(init=False)
    """The full CloudEvents type."""
    place: Topic = field(init=False)
    """Its topic."""
    key_path: tuple[str, ...] = field(init=False)
    """`key_field` in its parts; empty where there is none."""

    def __post_init__(self) -> None:
        # Asked for with every event: worked out once.
        object.__setattr__(self, "type", f"{TYPE_PREFIX}{self.name}.v1")
        object.__setattr__(self, "place", TOPICS[self.topic])
        object.__setattr__(self, "key_path", () if self.key_field is None else tuple(self.key_field.split(".")))


def _of(topic: str, key_field: str | None, **models: type[BaseModel]) -> list[EventType]:
    return [EventType(_named(name), topic, model, key_field) for name, model in models.items()]


def _named(name: str) -> str:
    thing, _, happened = name.partition("__")
    return f"{thing.replace('_', '-')}.{happened.replace('_', '-')}"


_REFUSED: Final = (image_events.RequestRefused, image_events.RequestRehearsed)
_ACCOUNT_REFUSED: Final = (account_events.AccountRequestRefused, account_events.AccountRequestRehearsed)
_INSTANCE_REFUSED: Final = (instance_events.InstanceRefused, instance_events.InstanceRequestRehearsed)

_REQUESTS: Final = (
    EventType(
        "publish.requested", "publication-requests", requests.PublishRequested, "image_id",
        (image_events.ImagePublished, image_events.PublicationRefused, image_events.RequestRehearsed),
    ),
    EventType(
        "unpublish.requested", "publication-requests", requests.UnpublishRequested, "image_id",
        (image_events.ImageUnpublished, image_events.PublicationWithdrawn, *_REFUSED),
    ),
    EventType(
        "share.requested", "publication-requests", requests.ShareRequested, "image_id",
        (image_events.ImageShared, *_REFUSED),
    ),
    EventType(
        "unshare.requested", "publication-requests", requests.UnshareRequested, "image_id",
        (image_events.ImageUnshared, *_REFUSED),
    ),
    EventType(
        "permit.requested", "operator-requests", requests.PermitRequested, "account_id",
        (account_events.AccountPermitted, *_ACCOUNT_REFUSED),
    ),
    EventType(
        "take-down.requested", "operator-requests", requests.TakeDownRequested, "image_id",
        (image_events.ImageTakenDown, *_REFUSED),
    ),
    EventType(
        "take-down-lift.requested", "operator-requests", requests.TakeDownLiftRequested, "image_id",
        (image_events.ImageTakeDownLifted, *_REFUSED),
    ),
    EventType(
        "launch.requested", "instance-requests", requests.LaunchRequested, "instance_id",
        (instance_events.InstanceLaunched, *_INSTANCE_REFUSED),
    ),
    EventType(
        "reinit.requested", "instance-requests", requests.ReinitRequested, "instance_id",
        (instance_events.InstanceReinitialised, *_INSTANCE_REFUSED),
    ),
    EventType(
        "replace-os.requested", "instance-requests", requests.ReplaceOsRequested, "instance_id",
        (instance_events.InstanceOsReplaced, *_INSTANCE_REFUSED),
    ),
    EventType(
        "release.requested", "instance-requests", requests.ReleaseRequested, "instance_id",
        (instance_events.InstanceReleased, *_INSTANCE_REFUSED),
    ),
)  # fmt: skip

_ALL: Final = (
    *_of(
        "image-facts", "image_id",
        image__registered=facts.ImageRegistered, image__changed=facts.ImageChanged, image__deleted=facts.ImageDeleted,
    ),
    *_of("account-facts", "account_id", account__stated=facts.AccountStated),
    *_REQUESTS,
    *_of("check-jobs", "image_id", check__requested=checks.CheckRequested, check__cancelled=checks.CheckCancelled),
    *_of("check-results", "image_id", check__progressed=checks.CheckProgressed, check__completed=checks.CheckCompleted),
    *_of(
        "image-events", "state.image_id",
        image__known=image_events.ImageKnown,
        image__tagged=image_events.ImageTagged,
        image__published=image_events.ImagePublished,
        image__unpublished=image_events.ImageUnpublished,
        image__taken_down=image_events.ImageTakenDown,
        image__take_down_lifted=image_events.ImageTakeDownLifted,
        image__shared=image_events.ImageShared,
        image__unshared=image_events.ImageUnshared,
        image__deprecated=image_events.ImageDeprecated,
        image__deleted=image_events.ImageRemoved,
        publication__checking=image_events.PublicationChecking,
        publication__refused=image_events.PublicationRefused,
        publication__withdrawn=image_events.PublicationWithdrawn,
        request__refused=image_events.RequestRefused,
        request__rehearsed=image_events.RequestRehearsed,
    ),
    *_of(
        "account-events", "state.account_id",
        account__known=account_events.AccountKnown,
        account__permitted=account_events.AccountPermitted,
        request__refused=account_events.AccountRequestRefused,
        request__rehearsed=account_events.AccountRequestRehearsed,
    ),
    *_of(
        "instance-events", "state.instance_id",
        instance__known=instance_events.InstanceKnown,
        instance__launched=instance_events.InstanceLaunched,
        instance__reinitialised=instance_events.InstanceReinitialised,
        instance__os_replaced=instance_events.InstanceOsReplaced,
        instance__released=instance_events.InstanceReleased,
        instance__refused=instance_events.InstanceRefused,
        request__rehearsed=instance_events.InstanceRequestRehearsed,
    ),
    *_of("dead-letters", None, dead_letter__recorded=dead_letters.DeadLetterRecorded),
)  # fmt: skip

REGISTRY: Final[dict[tuple[str, str], EventType]] = {(event_type.topic, event_type.type): event_type for event_type in _ALL}
"""Every event by (topic's short name, full type)."""

_BY_MODEL: Final = {event_type.model: event_type for event_type in _ALL}


def event_type_of(model: type[BaseModel]) -> EventType:
    """Return the event type whose body is `model`; raises `KeyError` for a class that is none."""
    return _BY_MODEL[model]


def answers_to(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the full types of which exactly one answers the request `model`; empty for what is no request."""
    return tuple(_BY_MODEL[answer].type for answer in _BY_MODEL[model].answered_by)
