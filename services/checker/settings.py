"""Settings of the checker."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from services.checker.adapters.clamd import ClamdAddress
from services.checker.adapters.sources.configured import HttpsSources, S3Store, check_stores
from shared.settings import CommonSettings, Port, Seconds, Settings


class SourceSettings(Settings):
    """Where images may lie, and where they are fetched into."""

    image_roots: tuple[Path, ...] = Field(
        default=(), description='Folders that hold the images, as JSON: ["/images"]. A location outside them is refused.'
    )
    s3_stores: tuple[S3Store, ...] = Field(
        default=(), description="Object stores whose buckets hold images, as JSON list (docs/sources.md)."
    )
    https_sources: HttpsSources = Field(
        default=HttpsSources(), description="Hosts whose files are fetched by https, as JSON object (docs/sources.md)."
    )
    spool: Path | None = Field(
        default=None, description="Folder that images are fetched into; needed with s3_stores and https_sources."
    )
    spool_image_bytes_max: int = Field(default=64 << 30, ge=1 << 20, description="The largest image that is fetched.")
    spool_bytes_max: int = Field(
        default=128 << 30, ge=1 << 20, description="Room in the spool for one process; a check waits until its image fits."
    )

    @model_validator(mode="after")
    def _buckets_have_one_store(self) -> Self:
        check_stores(self.s3_stores)
        return self


class CheckerSettings(SourceSettings, CommonSettings):
    """What the checker needs to know beside what all services do."""

    http_port: Port = Field(default=8082, description="Port of the checker's HTTP queries; 0 leaves HTTP out.")
    workers: int = Field(default=2, ge=1, le=64, description="Checks that one process runs at a time.")
    lease_s: Seconds = Field(default=15, description="How long a claim holds without being renewed.")
    renew_every_s: Seconds = Field(default=5, description="How often a worker renews its claim; well below lease_s.")
    claims_max: int = Field(default=3, ge=1, le=100, description="Claims of one job before the check is given up.")
    check_timeout_s: Seconds = Field(default=600, description="Wall clock of one check, inspection and digest, from its claim.")
    inspector_memory_bytes: int = Field(
        default=1 << 30,
        ge=128 << 20,
        description="Address space of an inspector, beside 80 MiB for each part of the malware rules.",
    )
    allow_unconfined: bool = Field(
        default=False,
        description="Check images although the system cannot confine the inspector: what a hostile image makes it do, it does.",
    )
    databases: Path | None = Field(
        default=None,
        description="Folder of the databases that `image-commons databases add` makes; read anew for each check.",
    )
    policy: str = Field(
        default="gate",
        min_length=1,
        description="The policy, as publisher's: where it blocks for want of a database, checks wait until there is one.",
    )
    clamd: str | None = Field(
        default=None, description="Where clamd listens, if it is to search images too: unix:/path/of/its/socket or tcp:host:port."
    )
    clamd_file_bytes: int = Field(
        default=100 << 20, ge=1, description="The largest file given to clamd; at most its StreamMaxLength."
    )
    inspector_command: tuple[str, ...] | None = Field(
        default=None, description="The program that inspects, as JSON list of words; the shipped inspector by default."
    )

    @field_validator("clamd")
    @classmethod
    def _clamd_is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            ClamdAddress.parse(value)
        return value

    @model_validator(mode="after")
    def _lease_outlives_renewals(self) -> Self:
        if self.renew_every_s * 2 > self.lease_s:
            message = "renew_every_s must be at most half of lease_s, or one slow renewal loses the claim"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _sources_have_a_spool(self) -> Self:
        if self.spool is None and (self.s3_stores or self.https_sources.hosts):
            message = "s3_stores and https_sources need spool, a folder that images are fetched into"
            raise ValueError(message)
        return self
