"""The report of an image check, version 1: what was found in an image, item by item, with evidence and advice."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from shared.contracts.answers import ItemName
from shared.contracts.base import CodeText, Count, Digest, Identifier, NoNul, Region, Sha256, Shape, ShortText, SizeBytes, Time

PACKAGES_MAX: Final = 20_000
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


class VulnerabilityCounts(Shape):
    """How many known vulnerabilities the image has: those known to be exploited (counted below too), and all by severity.

    `fixed_…`: a fixed version is released; `unfixed_…`: none is.
    """

    known_exploited: Count = 0
    fixed_critical: Count = 0
    fixed_high: Count = 0
    fixed_medium: Count = 0
    fixed_low: Count = 0
    fixed_unrated: Count = 0
    unfixed_critical: Count = 0
    unfixed_high: Count = 0
    unfixed_medium: Count = 0
    unfixed_low: Count = 0
    unfixed_unrated: Count = 0


class Item(Shape):
    """The judgement of one check item: its level, and for anything but `ok` a code `<Item>.<Problem>` and advice.

    A code that ends in `.NoDatabase` says that it could not be judged for want of a database. `vulnerabilities` is there where
    they were counted: a policy has limits for them.
    """

    name: ItemName
    level: Level
    code: CodeText | None = None
    value: ItemValue = None
    evidence: Annotated[tuple[ReportEvidence, ...], Field(max_length=64)] = ()
    advice: ReportText | None = None
    vulnerabilities: VulnerabilityCounts | None = None


class Attributes(Shape):
    """What the image was detected to be; absent where it could not be told."""

    platform: ShortText | None = None
    os_version: ShortText | None = None
    kernel_version: Annotated[str, StringConstraints(max_length=128), NoNul] | None = None
    architecture: Literal["x86_64", "arm64", "i386"] | None = None
    boot_mode: Literal["BIOS", "UEFI", "UEFI-Preferred"] | None = None


class ScanDatabase(Shape):
    """A database a check used: its name, version and date (RFC 3339, the time of day may be left out), and what it is for.

    `digest` is of the upstream's file that it was made from.
    """

    name: ShortText
    version: ShortText
    date: ShortText
    purpose: Literal["vulnerabilities", "malware", "hashes"] | None = None
    digest: Digest | None = None


class ImageFile(Shape):
    """The stored file that was checked: digest of its bytes (absent if there was no time for it), size, virtual size, format."""

    digest: Digest | None = None
    size_bytes: SizeBytes
    virtual_size_bytes: SizeBytes | None = None
    format: ShortText | None = None


class PolicyName(Shape):
    """The policy a report was weighed with: the digest of its file, and the region whose part of it was used."""

    name: ShortText
    version: ShortText
    digest: Digest | None = None
    region: Region | None = None


class Unjudged(Shape):
    """An item that could not be judged for want of a database, and why."""

    item: ItemName
    reason: ReportText


class Package(Shape):
    """A package that is installed in the image, and the source package it was built from where that is called otherwise."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256), NoNul]
    version: Annotated[str, StringConstraints(max_length=256), NoNul]
    architecture: ShortText | None = None
    source: Annotated[str, StringConstraints(max_length=256), NoNul] | None = None
    source_version: Annotated[str, StringConstraints(max_length=256), NoNul] | None = None


class PackageList(Shape):
    """What one package database of the image lists.

    `namespace` is the distribution as a package URL names it (`debian`, `redhat`), `distro` the same with its version
    (`debian-12`). Versions are as the manager compares them: with deb and rpm `[epoch:]version-release`. Not `complete`: there
    were more than a report may hold, or `error` says why the database could not be read, or not to its end.
    """

    type: Literal["deb", "rpm", "apk"]
    namespace: ShortText | None = None
    distro: ShortText | None = None
    complete: bool = True
    packages: Annotated[tuple[Package, ...], Field(max_length=PACKAGES_MAX)] = ()
    error: ReportText | None = None


class Report(Shape):
    """A check report.

    `policy`, `outcome` and what it rests on (`blocking`: the items that decided it; `reasons`: why it is undetermined;
    `unjudged`: what a database is missing for) are the command line's; the checker's own reports have none of them. `error`
    says why the check is incomplete; `confinement` what held the inspector; `timings_s` seconds by phase.
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
    blocking: Annotated[tuple[ItemName, ...], Field(max_length=64)] | None = None
    reasons: Annotated[tuple[ReportText, ...], Field(max_length=128)] | None = None
    unjudged: Annotated[tuple[Unjudged, ...], Field(max_length=64)] | None = None
    attributes: Attributes = Attributes()
    items: Annotated[tuple[Item, ...], Field(max_length=64)] = ()
    complete: bool = True
    error: ReportText | None = None
    worker: ShortText | None = None
    confinement: Annotated[tuple[ShortText, ...], Field(max_length=16)] = ()
    timings_s: dict[ShortText, float] | None = None
    packages: Annotated[tuple[PackageList, ...], Field(max_length=4)] | None = None

    def as_document(self) -> dict[str, Any]:
        """Return the report as JSON-ready data, absent fields left out."""
        return self.model_dump(mode="json", exclude_none=True)
