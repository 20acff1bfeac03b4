"""One full example of every type of event: every optional field is filled, also those that seldom stand together."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from pydantic import BaseModel

from shared.contracts import account_events, answers, checks, dead_letters, facts, image_events, instance_events, report, requests
from shared.contracts.envelope import Event, encode
from shared.contracts.registry import EventType, event_type_of

IMAGE: Final = "img-2vc81kd0"
ACCOUNT: Final = "acc-1180245"
OTHER_ACCOUNT: Final = "acc-7730011"
INSTANCE: Final = "i-5f0c22"
PUBLICATION: Final = "019a4c2e-7c00-7a51-9d3e-54f0c0a1b201"
CHECK: Final = "019a4c2e-7c00-7a51-9d3e-54f0c0a1b202"
REPORT: Final = "019a4c2e-7c00-7a51-9d3e-54f0c0a1b203"
REQUEST: Final = "019a4c2e-7c00-7a51-9d3e-54f0c0a1b204"
EVENT: Final = "019a4c2e-7c00-7a51-9d3e-54f0c0a1b205"
REGION: Final = "eu-central-1"
DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
APPENDED_MS: Final = 1_767_225_600_123
NOON: Final = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
LATER: Final = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
NAME: Final = "Ubuntu-24.04-mit-Übersetzung"
DESCRIPTION: Final = 'Für alle: "Ubuntu" \\ 24.04 LTS – 社区镜像 🐧'

_OWNER: Final = requests.Actor(kind="account", id=ACCOUNT)
_OPERATOR: Final = requests.Actor(kind="operator", id="op-7")
_ASKED: Final[dict[str, Any]] = {"actor": _OWNER, "region": REGION, "client_token": "t-1~!", "dry_run": True, "expires_at": LATER}
_ASKED_BY_OPERATOR: Final[dict[str, Any]] = {**_ASKED, "actor": _OPERATOR}
_FEE: Final = facts.Fee(amount="0.125000", currency="EUR")
_ROOT: Final = facts.RootProduct(id="prod-rhel-9", fee=_FEE)
_CLAIMS: Final = facts.Claims(os_type="linux", platform="ubuntu", architecture="x86_64", boot_mode="UEFI-Preferred")
_TAGS: Final = {"platform": "ubuntu", "os_version": "24.04"}
_NOTES: Final = requests.ChangeNotes(
    iteration_version="24.04.3",
    feature_changes="none",
    fixes="systemd 255.4-1ubuntu8.8",
    performance="boots 2 s sooner",
    security="CVE-2025-0001",
    dependency_updates="openssl 3.0.13",
    compatibility="as 24.04.2",
)
_IMAGE_FACT: Final[dict[str, Any]] = {
    "image_id": IMAGE,
    "region": REGION,
    "owner_account_id": ACCOUNT,
    "name": NAME,
    "description": DESCRIPTION,
    "family": "ubuntu-24.04",
    "status": "Available",
    "encrypted": False,
    "location": "file:///images/img-2vc81kd0.qcow2",
    "content_version": "file-18a1f3c8e2b-18a1f3c8e2c-25800000-1f4",
    "format": "qcow2",
    "size_bytes": 629_145_600,
    "created_at": NOON,
    "derived_from": "img-0root",
    "root_product": _ROOT,
    "claims": _CLAIMS,
    "shared_with": (OTHER_ACCOUNT,),
}
_IMAGE_STATE: Final = image_events.ImageState(
    image_id=IMAGE,
    region=REGION,
    owner_account_id=ACCOUNT,
    name=NAME,
    description=DESCRIPTION,
    change_notes=_NOTES,
    family="ubuntu-24.04",
    status="Available",
    encrypted=False,
    size_bytes=629_145_600,
    created_at=NOON,
    derived_from="img-0root",
    root_product=_ROOT,
    shared_with=(OTHER_ACCOUNT,),
    tags=_TAGS,
    publication=image_events.PublicationView(id=PUBLICATION, state="published", since=NOON, ends_at=LATER, reason="owner asked"),
    check=image_events.CheckView(
        report_id=REPORT,
        report_sha256=DIGEST,
        image_digest=f"sha256:{DIGEST}",
        rules_version="1",
        checked_at=NOON,
        outcome="passed",
        policy_version="1",
    ),
    deprecation=image_events.Deprecation(since=NOON, replacement_image_id="img-next"),
    taken_down=image_events.TakenDown(since=NOON, reason="complaint 4711"),
)
_EVIDENCE: Final = (answers.Evidence(path="/etc/fstab", line=3, text="/dev/vdb1 /data ext4 defaults 0 2", sha256=DIGEST),)
_OUTCOME: Final[dict[str, Any]] = {
    "message": f"{NAME} is dealt with",
    "warnings": (answers.Warned(code="Name.Taken", message="another image has that name", suggested_name=f"{NAME}-2"),),
    "problems": (
        answers.Problem(
            code="ImageCheck.Failed",
            advice="mend what the items name, register the new content and publish again",
            rule=11,
            field="image_id",
            value=IMAGE,
            item="GUESTOS.Fstab",
            level="failed",
            evidence=_EVIDENCE,
        ),
    ),
    "retryable": True,
    "actor": _OWNER,
    "reason": "owner asked",
    "would_be": "org.imagecommons.image.published.v1",
}
_IMAGE_CHANGE: Final = image_events.ImageChange(
    **_OUTCOME, publication_id=PUBLICATION, check_id=CHECK, account_id=OTHER_ACCOUNT, deadline_at=LATER, tags=_TAGS
)
_ACCOUNT_STATE: Final = account_events.AccountState(
    account_id=ACCOUNT,
    status="active",
    enterprise_verified=True,
    display_name="Müller & Söhne",
    permission=account_events.Permission(state="granted", ticket="T-1", since=NOON),
    agreements=(account_events.SignedAgreement(id="community-images", version="2", signed_at=NOON),),
)
_ACCOUNT_CHANGE: Final = account_events.AccountChange(**_OUTCOME)
_INSTANCE_STATE: Final = instance_events.InstanceState(
    instance_id=INSTANCE,
    account_id=OTHER_ACCOUNT,
    region=REGION,
    instance_type="c7.large",
    system_disk=instance_events.SystemDisk(
        disk_id="d-1",
        image_id=IMAGE,
        image_digest=f"sha256:{DIGEST}",
        publication_id=PUBLICATION,
        image_sequence=7,
        basis="community",
    ),
    charge=instance_events.Charge(product_id="prod-rhel-9", amount="0.125", currency="EUR", opened_at=NOON, closed_at=LATER),
    state="launched",
)
_INSTANCE_CHANGE: Final = instance_events.InstanceChange(
    **_OUTCOME, image_id=IMAGE, publication_id=PUBLICATION, image_sequence=7, way_out="replace the OS"
)
_INSTANCE: Final[dict[str, Any]] = {"instance_id": INSTANCE, "account_id": OTHER_ACCOUNT}
_INSTANCE_ASKED: Final[dict[str, Any]] = {**_ASKED, **_INSTANCE, "actor": requests.Actor(kind="account", id=OTHER_ACCOUNT)}

_IMAGE_EVENTS: Final = (
    image_events.ImageKnown,
    image_events.ImageTagged,
    image_events.ImagePublished,
    image_events.ImageUnpublished,
    image_events.ImageTakenDown,
    image_events.ImageTakeDownLifted,
    image_events.ImageShared,
    image_events.ImageUnshared,
    image_events.ImageDeprecated,
    image_events.ImageRemoved,
    image_events.PublicationChecking,
    image_events.PublicationRefused,
    image_events.PublicationWithdrawn,
    image_events.RequestRefused,
    image_events.RequestRehearsed,
)
_ACCOUNT_EVENTS: Final = (
    account_events.AccountKnown,
    account_events.AccountPermitted,
    account_events.AccountRequestRefused,
    account_events.AccountRequestRehearsed,
)
_INSTANCE_EVENTS: Final = (
    instance_events.InstanceKnown,
    instance_events.InstanceLaunched,
    instance_events.InstanceReinitialised,
    instance_events.InstanceOsReplaced,
    instance_events.InstanceReleased,
    instance_events.InstanceRefused,
    instance_events.InstanceRequestRehearsed,
)
_UNASKED: Final = {
    image_events.ImageKnown,
    image_events.ImageDeprecated,
    image_events.ImageRemoved,
    account_events.AccountKnown,
    instance_events.InstanceKnown,
}
"""Events of state that no request causes."""

_BODIES: Final[tuple[BaseModel, ...]] = (
    facts.ImageRegistered(**_IMAGE_FACT),
    facts.ImageChanged(**_IMAGE_FACT),
    facts.ImageDeleted(**{**_IMAGE_FACT, "status": "Deleted"}),
    facts.AccountStated(account_id=ACCOUNT, status="active", enterprise_verified=True, display_name="Müller & Söhne"),
    requests.PublishRequested(
        **_ASKED,
        image_id=IMAGE,
        name=NAME,
        description=DESCRIPTION,
        change_notes=_NOTES,
        family="ubuntu-24.04",
        accepted_agreements=(requests.AcceptedAgreement(id="community-images", version="2"),),
    ),
    requests.UnpublishRequested(**_ASKED, image_id=IMAGE),
    requests.ShareRequested(**_ASKED, image_id=IMAGE, account_id=OTHER_ACCOUNT),
    requests.UnshareRequested(**_ASKED, image_id=IMAGE, account_id=OTHER_ACCOUNT),
    requests.PermitRequested(**_ASKED_BY_OPERATOR, account_id=ACCOUNT, ticket="T-1"),
    requests.TakeDownRequested(**_ASKED_BY_OPERATOR, image_id=IMAGE, reason="complaint 4711"),
    requests.TakeDownLiftRequested(**_ASKED_BY_OPERATOR, image_id=IMAGE, reason="complaint withdrawn"),
    requests.LaunchRequested(**_INSTANCE_ASKED, image_id=IMAGE, family="ubuntu-24.04", instance_type="c7.large", seen_sequence=7),
    requests.ReinitRequested(**_INSTANCE_ASKED),
    requests.ReplaceOsRequested(**_INSTANCE_ASKED, image_id=IMAGE),
    requests.ReleaseRequested(**_INSTANCE_ASKED, reason="creation_failed"),
    checks.CheckRequested(
        check_id=CHECK,
        publication_id=PUBLICATION,
        image_id=IMAGE,
        region=REGION,
        name=NAME,
        location="file:///images/img-2vc81kd0.qcow2",
        content_version="file-18a1f3c8e2b-18a1f3c8e2c-25800000-1f4",
        format="qcow2",
        size_bytes=629_145_600,
        claims=_CLAIMS,
        deadline_at=LATER,
    ),
    checks.CheckCancelled(check_id=CHECK, image_id=IMAGE),
    checks.CheckProgressed(check_id=CHECK, image_id=IMAGE, phase="digest", done=314_572_800, total=629_145_600),
    checks.CheckCompleted(
        check_id=CHECK,
        publication_id=PUBLICATION,
        image_id=IMAGE,
        complete=False,
        items=(
            checks.ResultItem(
                name="SECURITY.Vulnerabilities",
                level="failed",
                code="Vulnerabilities.KnownExploited",
                evidence=_EVIDENCE,
                vulnerabilities=report.VulnerabilityCounts(known_exploited=1, fixed_high=2),
            ),
        ),
        attributes=report.Attributes(
            platform="ubuntu", os_version="24.04", kernel_version="6.8.0-51-generic", architecture="x86_64", boot_mode="UEFI"
        ),
        image_digest=f"sha256:{DIGEST}",
        content_version="file-18a1f3c8e2b-18a1f3c8e2c-25800000-1f4",
        report_id=REPORT,
        report_sha256=DIGEST,
        rules_version="1",
        databases=(
            report.ScanDatabase(
                name="clamav", version="27500", date="2026-01-01", purpose="malware", digest="sha256:" + "e" * 64
            ),
        ),
        error="the file ends early",
    ),
    *(each(state=_IMAGE_STATE, change=_IMAGE_CHANGE) for each in _IMAGE_EVENTS),
    *(each(state=_ACCOUNT_STATE, change=_ACCOUNT_CHANGE) for each in _ACCOUNT_EVENTS),
    *(each(state=_INSTANCE_STATE, change=_INSTANCE_CHANGE) for each in _INSTANCE_EVENTS),
    dead_letters.DeadLetterRecorded(
        topic="image-facts",
        partition=3,
        offset=1042,
        key=IMAGE,
        reason_code="json_invalid",
        reason_text="body: Invalid JSON: EOF while parsing an object at line 1 column 1",
        consumer="publisher",
        value_sha256="021fb596db81e6d02bf3d2586ee3981fe519f275c0ac9ca76bbcf2ebb4097d96",
        value_size_bytes=1,
        value_excerpt_base64="ew==",
        headers=(("ce_id", EVENT), ("ce_source", "/upstream/images")),
    ),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A full event of one type, as its writer would send it."""

    event_type: EventType
    data: BaseModel
    key: str

    @property
    def event(self) -> Event[Any]:
        """What a reader gets."""
        place = self.event_type.place
        asked = place.carries_state and self.event_type.model not in _UNASKED
        return Event(
            id=REQUEST if place.requests else EVENT,
            source=f"/upstream/{place.name}" if place.requests or place.kind == "facts" else f"/image-commons/{place.writers[0]}",
            type=self.event_type.type,
            subject=self.key,
            time=NOON,
            data=self.data,
            sequence=None if place.requests or place.kind == "dead-letters" else 7,
            correlation_id=REQUEST if asked else None,
            traceparent=TRACE,
            recorded_at=datetime.fromtimestamp(APPENDED_MS / 1000, tz=UTC),
        )

    def encoded(self) -> tuple[list[tuple[str, bytes]], bytes]:
        """Return headers and value as the code under test writes them."""
        event = self.event
        return encode(
            self.data,
            id=event.id,
            source=event.source,
            subject=event.subject,
            time=event.time,
            sequence=event.sequence,
            correlation_id=event.correlation_id,
            traceparent=event.traceparent,
        )


def _example(data: BaseModel) -> Example:
    event_type = event_type_of(type(data))
    holder: Any = data
    for step in (event_type.key_field or "topic").split("."):
        holder = getattr(holder, step)
    return Example(event_type, data, holder)


EXAMPLES: Final = tuple(_example(data) for data in _BODIES)
BY_MODEL: Final = {type(example.data): example for example in EXAMPLES}
