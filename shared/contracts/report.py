"""The report of an image check, version 1: what was found in an image, item by item, with evidence and advice."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shared.contracts.answers import ItemName
from shared.contracts.base import CodeText, Count, Digest, Identifier, NoNul, Sha256, Shape, ShortText, SizeBytes, Time

Level = Literal["ok", "warning", "failed", "unsupported"]
CheckOutcome = Literal["passed", "blocked", "undetermined"]
ReportText = Annotated[str, StringConstraints(max_length=1024), NoNul]
ItemValue = ReportText | int | bool | Annotated[tuple[ReportText, ...], Field(max_length=64)] | None


class ReportEvidence(Shape):
    """Where a finding was made: a path inside the image, a line of it from 1, its text, the file's SHA-256."""

    path: ReportText | None = None
    line: Count | None = None
    text: ReportText | None = None
    sha256: Sha256 | None = None


class Item(Shape):
    """The judgement of one check item: its level, and for anything but `ok` a code `<Item>.<Problem>` and advice."""

    name: ItemName
    level: Level
    code: CodeText | None = None
    value: ItemValue = None
    evidence: Annotated[tuple[ReportEvidence, ...], Field(max_length=64)] = ()
    advice: ReportText | None = None


class Attributes(Shape):
    """What the image was detected to be; absent where it could not be told."""

    platform: ShortText | None = None
    os_version: ShortText | None = None
    kernel_version: Annotated[str, StringConstraints(max_length=128), NoNul] | None = None
    architecture: Literal["x86_64", "arm64", "i386"] | None = None
    boot_mode: Literal["BIOS", "UEFI", "UEFI-Preferred"] | None = None


class ScanDatabase(Shape):
    """A database a check used: its name, version and date."""

    name: ShortText
    version: ShortText
    date: ShortText


class ImageFile(Shape):
    """The stored file that was checked: digest of its bytes (absent if there was no time for it), size, virtual size, format."""

    digest: Digest | None = None
    size_bytes: SizeBytes
    virtual_size_bytes: SizeBytes | None = None
    format: ShortText | None = None


class PolicyName(Shape):
    """The gate policy a report was weighed with."""

    name: ShortText
    version: ShortText


class Report(Shape):
    """A check report. `policy` and `outcome` are the command line's; the checker's own reports have neither.

    `error` says why the check is incomplete; `confinement` what held the inspector; `timings_s` seconds by phase.
    """

    version: Literal[1] = 1
    report_id: Identifier
    image: ImageFile
    rules_version: ShortText
    databases: Annotated[tuple[ScanDatabase, ...], Field(max_length=16)] = ()
    policy: PolicyName | None = None
    started_at: Time
    finished_at: Time
    outcome: CheckOutcome | None = None
    attributes: Attributes = Attributes()
    items: Annotated[tuple[Item, ...], Field(max_length=64)] = ()
    complete: bool = True
    error: ReportText | None = None
    worker: ShortText | None = None
    confinement: Annotated[tuple[ShortText, ...], Field(max_length=16)] = ()
    timings_s: dict[ShortText, float] | None = None

    def as_document(self) -> dict[str, Any]:
        """Return the report as JSON-ready data, absent fields left out."""
        return self.model_dump(mode="json", exclude_none=True)
