"""Check jobs and their results."""

from typing import Annotated

from pydantic import Field

from shared.contracts.answers import EvidenceList, ItemName
from shared.contracts.base import (
    Body,
    CodeText,
    Digest,
    Identifier,
    ImageId,
    Message,
    Name,
    Region,
    Sha256,
    Shape,
    ShortText,
    SizeBytes,
    Time,
    Uri,
    Version,
)
from shared.contracts.facts import Claims, DiskFormat
from shared.contracts.report import Attributes, Level, ScanDatabase, VulnerabilityCounts


class CheckRequested(Body):
    """Check the bytes at `location`, as long as they are those of `content_version`."""

    check_id: Identifier
    publication_id: Identifier | None = None
    image_id: ImageId
    region: Region
    name: Name
    location: Uri
    content_version: Version
    format: DiskFormat | None = None
    size_bytes: SizeBytes | None = None
    claims: Claims | None = None
    deadline_at: Time


class CheckCancelled(Body):
    """The result of this check is wanted no more."""

    check_id: Identifier
    image_id: ImageId


class CheckProgressed(Body):
    """How far a check has come, `done` of `total` in `phase`."""

    check_id: Identifier
    image_id: ImageId
    phase: ShortText
    done: Annotated[int, Field(ge=0, le=2**53)]
    total: Annotated[int, Field(ge=0, le=2**53)]


class ResultItem(Shape):
    """An item in short; the report has all of it."""

    name: ItemName
    level: Level
    code: CodeText | None = None
    evidence: EvidenceList | None = None
    vulnerabilities: VulnerabilityCounts | None = None


class CheckCompleted(Body):
    """What a check found. It holds no verdict: publisher weighs the items."""

    check_id: Identifier
    publication_id: Identifier | None = None
    image_id: ImageId
    complete: bool
    items: Annotated[tuple[ResultItem, ...], Field(max_length=48)] = ()
    attributes: Attributes = Attributes()
    image_digest: Digest | None = None
    content_version: Version | None = None
    report_id: Identifier | None = None
    report_sha256: Sha256 | None = None
    rules_version: ShortText
    databases: Annotated[tuple[ScanDatabase, ...], Field(max_length=16)] = ()
    error: Message | None = None
