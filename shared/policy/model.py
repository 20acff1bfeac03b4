"""The keys of a policy. An unknown one is refused, a region's own ones take the place of the default's, one by one.

What later decisions need (agreements, quota, deadlines, word lists) is a further field of `RegionPart`, with a default.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.functional_validators import AfterValidator

from shared.contracts.base import Region
from shared.contracts.rules import KNOWN_ITEMS

Part = TypeVar("Part", bound="PolicyPart")


class UnknownItem(ValueError):
    """No rules declare an item of this name."""


def _known(name: str) -> str:
    if name not in KNOWN_ITEMS:
        raise UnknownItem(name)
    return name


CheckItem = Annotated[str, AfterValidator(_known)]
BlockingLevels = tuple[Literal["warning", "failed", "unsupported"], ...]
Threshold = Literal["low", "medium", "high", "critical", "never"]


class PolicyPart(BaseModel):
    """Base of every part of a policy: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True, frozen=True)


class VulnerabilityPart(PolicyPart):
    """What makes the item SECURITY.Vulnerabilities `failed`; any other known vulnerability makes it a `warning`."""

    known_exploited: bool = Field(default=True, description="Whether one that is known to be exploited fails.")
    severity: Threshold = Field(default="high", description="The least severity that fails where a fixed version is released.")
    severity_without_fix: Threshold = Field(default="never", description="The least severity that fails where there is no fix.")
    database_age_days_max: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        default=None, description="An older database counts as missing; null: any age will do."
    )


class GatePart(PolicyPart):
    """Which items, at which level, keep an image from being published."""

    items: dict[CheckItem, BlockingLevels] = Field(default={}, description="By item: the levels at which it blocks.")
    others: BlockingLevels = Field(default=("failed",), description="The levels at which items that are not named block.")
    missing_database: Literal["blocks", "listed"] = Field(
        default="blocks", description="Whether an item that only lacks its database blocks, or is merely listed first."
    )
    vulnerabilities: VulnerabilityPart = VulnerabilityPart()


class RegionPart(PolicyPart):
    """What holds in a region."""

    gate: GatePart = GatePart()


class PolicyDocument(PolicyPart):
    """A policy file. `policy` is the version of this format, `version` the operator's own of its content."""

    policy: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,23}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.]{0,15}$")]
    default: RegionPart
    regions: Annotated[dict[Region, RegionPart], Field(max_length=64)] = {}

    def for_region(self, region: str | None) -> RegionPart:
        """Return what holds in `region`: the default, and in its place what the region says of itself."""
        own = None if region is None else self.regions.get(region)
        return self.default if own is None else joined(self.default, own)


def joined(default: Part, own: Part) -> Part:
    """Return `default` with what `own` sets in its place: part by part, and a mapping key by key."""
    changed: dict[str, object] = {}
    for name in own.model_fields_set:
        before, after = getattr(default, name), getattr(own, name)
        if isinstance(after, PolicyPart):
            after = joined(before, after)
        elif isinstance(after, dict):
            after = {**before, **after}
        changed[name] = after
    return default.model_copy(update=changed)
