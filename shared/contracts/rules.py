"""The rules: which items each version of them declares, per family of systems. A report without one of them is incomplete.

Versions are kept for ever: a checker of the last release may still answer with an older one.
"""

from collections.abc import Iterable
from typing import Final, Literal

Family = Literal["linux", "windows"]

RULES_VERSION: Final = "3"
"""The version that the checker works by; the others are only understood."""

_SYSTEM: Final = ("GUESTOS.SystemImage", "GUESTOS.Platform", "GUESTOS.OSVersion", "GUESTOS.Architecture", "GUESTOS.KernelVersion")
_ANY_DISK: Final = ("SECURITY.DiskFormat", "SECURITY.Encryption")
_FIRST: Final = (*_SYSTEM, "GUESTOS.BootMode", "GUESTOS.Fstab", *_ANY_DISK)
_LINUX: Final = (
    *_FIRST,
    "GUESTOS.RtcTimeMode",
    "GUESTOS.Virtio",
    "GUESTOS.Nvme",
    "GUESTOS.Grub",
    "GUESTOS.Dhcp",
    "GUESTOS.Selinux",
    "GUESTOS.OnlineResizeFS",
    "GUESTOS.CloudAssistant",
    "GUESTOS.CloudInit",
    "GUESTOS.SecurityCenterAgent",
    "GUESTOS.SupportMocInstanceTypes",
    "SECURITY.Passwords",
    "SECURITY.Secrets",
    "SECURITY.RemoteAccess",
    "SECURITY.Privileges",
    "SECURITY.Claims",
)
_WINDOWS: Final = (
    *_SYSTEM,
    *_ANY_DISK,
    "GUESTOS.Virtio",
    "GUESTOS.BCD",
    "GUESTOS.Registry",
    "GUESTOS.Hotfix",
    "GUESTOS.Disk",
    "GUESTOS.Sysprep",
    "GUESTOS.Update",
    "GUESTOS.Xen",
    "GUESTOS.CloudAssistant",
    "GUESTOS.Server",
    "GUESTOS.DesktopConfig",
    "GUESTOS.BootMgr",
    # Accounts, sshd, setuid files and packages are Linux's; a Windows's updates are the item Hotfix.
    "SECURITY.Secrets",
    "SECURITY.Claims",
)
_SCANS: Final = ("SECURITY.Malware",)
"""What needs databases: declared from version 3 on."""
DECLARED_ITEMS: Final[dict[str, dict[Family, tuple[str, ...]]]] = {
    "1": {"linux": tuple(sorted(_FIRST)), "windows": tuple(sorted(_FIRST))},
    "2": {"linux": tuple(sorted(_LINUX)), "windows": tuple(sorted(_WINDOWS))},
    "3": {
        "linux": tuple(sorted((*_LINUX, *_SCANS, "SECURITY.Vulnerabilities"))),
        "windows": tuple(sorted((*_WINDOWS, *_SCANS))),
    },
}
"""The one table of items, by rules version and family. Version 1 knew no Windows: such an image lacks items, and never passes."""

KNOWN_ITEMS: Final = frozenset(name for families in DECLARED_ITEMS.values() for names in families.values() for name in names)
"""Every item that some version declares: what a policy can speak of."""
_WINDOWS_ALONE: Final = frozenset(_WINDOWS) - frozenset(_LINUX)


def declared_items(rules_version: str, family: Family) -> tuple[str, ...]:
    """Return the items that `rules_version` declares for `family`; none for rules nobody knows."""
    return DECLARED_ITEMS.get(rules_version, {}).get(family, ())


def family_of(platform: str | None, names: Iterable[str]) -> Family:
    """Return the family of the system whose attribute Platform is `platform`, and of which the items `names` were judged.

    Where the platform could not be told, items that are Windows's alone tell.
    """
    if platform is not None:
        return "windows" if platform.startswith("Windows") else "linux"
    return "linux" if _WINDOWS_ALONE.isdisjoint(names) else "windows"
