"""The gate: which items, at which level, keep an image from being published (domain, The image check).

Pure: items and a policy in, a verdict out. Used by publisher, whose word counts, and by the command line. Fail closed: what is
missing, or could not be judged where the policy asks for a judgement, never passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.contracts.report import CheckOutcome, Level

RULES_VERSION: Final = "1"
_COMMON: Final = ("GUESTOS.SystemImage", "SECURITY.DiskFormat", "SECURITY.Encryption")
_LINUX: Final = (
    "GUESTOS.Platform",
    "GUESTOS.OSVersion",
    "GUESTOS.Architecture",
    "GUESTOS.KernelVersion",
    "GUESTOS.BootMode",
    "GUESTOS.Fstab",
    "GUESTOS.CloudAssistant",
    "GUESTOS.CloudInit",
    "GUESTOS.Dhcp",
    "GUESTOS.Grub",
    "GUESTOS.Nvme",
    "GUESTOS.OnlineResizeFS",
    "GUESTOS.RtcTimeMode",
    "GUESTOS.SecurityCenterAgent",
    "GUESTOS.Selinux",
    "GUESTOS.SupportMocInstanceTypes",
    "GUESTOS.Virtio",
)
DECLARED_ITEMS: Final[dict[str, tuple[str, ...]]] = {RULES_VERSION: tuple(sorted(_COMMON + _LINUX))}
"""The items that each rules version declares; a report without one of them is incomplete."""


class JudgedItem(Protocol):
    """The part of an item that the gate looks at."""

    @property
    def name(self) -> str:
        """Its name, `GUESTOS.<Name>` or `SECURITY.<Name>`."""

    @property
    def level(self) -> Level:
        """Its level."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which items block: at level `failed`, and which also when they are `unsupported`."""

    name: str
    version: str
    blocks_failed: frozenset[str]
    blocks_unsupported: frozenset[str]


_BLOCKING: Final = frozenset(
    {"GUESTOS.SystemImage", "GUESTOS.Fstab", "GUESTOS.Grub", "GUESTOS.Virtio", "SECURITY.DiskFormat", "SECURITY.Encryption"}
)
_JUDGED_OR_BLOCKED: Final = frozenset(
    {
        "GUESTOS.SystemImage",
        "GUESTOS.Platform",
        "GUESTOS.Architecture",
        "GUESTOS.Fstab",
        "GUESTOS.Grub",
        "GUESTOS.Virtio",
        "SECURITY.DiskFormat",
        "SECURITY.Encryption",
    }
)
POLICIES: Final[dict[str, Policy]] = {
    name: Policy(name, "1", blocks_failed=_BLOCKING, blocks_unsupported=_JUDGED_OR_BLOCKED) for name in ("gate", "inspect")
}
"""The policies that ship: `gate` for services, `inspect` for the command line. They part once there are databases to miss."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What the gate says: `outcome`, the names of the items that decided it, and for `undetermined` why, in words."""

    outcome: CheckOutcome
    items: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def declared_items(rules_version: str) -> tuple[str, ...]:
    """Return the items that `rules_version` declares; none for rules nobody knows."""
    return DECLARED_ITEMS.get(rules_version, ())


def missing_items(rules_version: str, items: Sequence[JudgedItem]) -> tuple[str, ...]:
    """Return the items that `rules_version` declares and `items` lack; raises `KeyError` for rules nobody knows."""
    present = {item.name for item in items}
    return tuple(name for name in DECLARED_ITEMS[rules_version] if name not in present)


def weigh(
    items: Sequence[JudgedItem],
    policy: Policy,
    *,
    rules_version: str = RULES_VERSION,
    complete: bool = True,
    error: str | None = None,
) -> GateVerdict:
    """Weigh `items` by `policy`.

    `blocked` if an item blocks; else `undetermined` if the check was not complete, an item is missing or named twice, the rules
    are unknown, or an item blocks for being unsupported; else `passed`.
    """
    blocking = tuple(item.name for item in items if item.level == "failed" and item.name in policy.blocks_failed)
    if blocking:
        return GateVerdict("blocked", blocking)
    reasons = [] if complete else [error or "the check did not finish"]
    if rules_version in DECLARED_ITEMS:
        reasons += [f"{name} was not judged" for name in missing_items(rules_version, items)]
    else:
        reasons.append(f"rules version {rules_version} is not known here")
    if len({item.name for item in items}) != len(items):
        reasons.append("an item was judged twice")
    unsupported = tuple(item.name for item in items if item.level == "unsupported" and item.name in policy.blocks_unsupported)
    reasons += [f"{name} could not be judged" for name in unsupported]
    if reasons:
        return GateVerdict("undetermined", unsupported, tuple(reasons))
    return GateVerdict("passed")
