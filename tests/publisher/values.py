"""Facts, requests, results and values that are right in everything; a test says what is different."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.publisher.domain.model import Account, Image, Publication
from shared.contracts.account_events import Permission
from shared.contracts.checks import CheckCompleted
from shared.contracts.facts import AccountStated, ImageChanged, ImageDeleted, ImageRegistered
from shared.contracts.image_events import TakenDown
from shared.contracts.rules import RULES_VERSION, declared_items

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REGION = "eu-1"
OWNER, FRIEND, STRANGER = "acme", "friend", "stranger"
NAME = "debian12_kernel6.1_x86_64_20260101"
DESCRIPTION = "Debian 12, small"
DIGEST, SHA256 = "sha256:" + "a" * 64, "b" * 64


def image(**different: Any) -> Image:
    """An image that could be published at once."""
    given = {
        "image_id": "img-1",
        "region": REGION,
        "owner_account_id": OWNER,
        "name": NAME,
        "description": DESCRIPTION,
        "status": "Available",
        "encrypted": False,
        "location": "file:///images/one.qcow2",
        "content_version": "v1",
        "created_at": NOW - timedelta(days=1),
    }
    return Image(**{**given, **different})


def account(**different: Any) -> Account:
    """An account that may publish."""
    permission = Permission(state="granted", ticket="T-1", since=NOW)
    given = {"account_id": OWNER, "status": "active", "enterprise_verified": True, "permission": permission}
    return Account(**{**given, **different})


def publication(**different: Any) -> Publication:
    """A publication under check."""
    given = {
        "publication_id": "pub-1",
        "image_id": "img-1",
        "region": REGION,
        "account_id": OWNER,
        "state": "checking",
        "since": NOW,
        "name": NAME,
        "request_id": "req-1",
        "requested_at": NOW,
        "description": DESCRIPTION,
        "check_id": "check-1",
        "check_sequence": 1,
        "location": "file:///images/one.qcow2",
        "content_version": "v1",
        "deadline_at": NOW + timedelta(days=1),
    }
    return Publication(**{**given, **different})


def taken_down() -> TakenDown:
    """A take-down."""
    return TakenDown(since=NOW, reason="malware")


def image_fact(image_id: str = "img-1", *, model: type[Any] = ImageRegistered, **different: Any) -> ImageRegistered:
    """An image fact's body."""
    given = {
        "image_id": image_id,
        "region": REGION,
        "owner_account_id": OWNER,
        "name": "my-image",
        "status": "Available",
        "encrypted": False,
        "location": "file:///images/one.qcow2",
        "content_version": "v1",
        "format": "qcow2",
        "size_bytes": 1000,
        "created_at": NOW,
    }
    body: ImageRegistered = model.model_validate({**given, **different}, strict=False)
    return body


def image_changed(image_id: str = "img-1", **different: Any) -> ImageRegistered:
    """A change of an image, full state."""
    return image_fact(image_id, model=ImageChanged, **different)


def image_deleted(image_id: str = "img-1", **different: Any) -> ImageRegistered:
    """The deletion of an image."""
    return image_fact(image_id, model=ImageDeleted, **different)


def account_fact(account_id: str = OWNER, **different: Any) -> AccountStated:
    """An account fact's body."""
    given = {"account_id": account_id, "status": "active", "enterprise_verified": True}
    return AccountStated.model_validate({**given, **different}, strict=False)


def result(**different: Any) -> CheckCompleted:
    """The result of a check that found nothing wrong; `levels` says which items are otherwise."""
    levels = different.pop("levels", {})
    evidence = [{"path": "/etc/fstab", "line": 3, "text": "UUID=0 / ext4"}]
    items = [
        {"name": name, "level": levels[name], "code": name.split(".")[1] + ".Wrong", "evidence": evidence}
        if name in levels
        else {"name": name, "level": "ok"}
        for name in declared_items(RULES_VERSION, "linux")
    ]
    given = {
        "check_id": "check-1",
        "image_id": "img-1",
        "complete": True,
        "items": items,
        "attributes": {"os_version": "Debian 12", "kernel_version": "6.1.0-18-cloud-amd64", "architecture": "x86_64"},
        "image_digest": DIGEST,
        "content_version": "v1",
        "report_id": "report-1",
        "report_sha256": SHA256,
        "rules_version": RULES_VERSION,
        "databases": [{"name": "tracker", "version": "1", "date": datetime.now(UTC).date().isoformat()}],
    }
    return CheckCompleted.model_validate({**given, **different}, strict=False)
