# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the distribution's release and the kernel are recent enough for newer hardware; the floors are data (hardware.toml)."""

from facts import Facts
from findings import Evidence, Item, Unreadable
from linux.hardware import HARDWARE, is_older
from linux.kernels import kernels
from linux.os_release import OsRelease, os_release

NAME = "GUESTOS.SupportMocInstanceTypes"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Compare the release with its floor, and the newest kernel with the floor of the release, or of all."""
    release, found = facts.get(os_release), facts.get(kernels)
    if isinstance(found, Unreadable) or not found:
        reason = found if isinstance(found, Unreadable) else "no kernel was found"
        return Item(NAME, "unsupported", "SupportMocInstanceTypes.NoKernel", advice=f"the kernel cannot be told: {reason}")
    values = release.values if isinstance(release, OsRelease) else {}
    floor = HARDWARE.floors.get(values.get("ID", "").lower())
    version, kernel = values.get("VERSION_ID", ""), found[-1]
    if floor is not None and version and is_older(version, floor.version) and isinstance(release, OsRelease):
        text = f"{floor.distribution} {version} is older than {floor.version}: {floor.reason}"
        evidence = (release.file.evidence(),)
        return Item(NAME, "warning", "SupportMocInstanceTypes.ReleaseTooOld", version, evidence, f"use a newer release: {text}")
    least, reason = (HARDWARE.kernel, HARDWARE.reason) if floor is None else (floor.kernel, floor.reason)
    if is_older(kernel.release, least):
        text = f"kernel {kernel.release} is older than {least}: {reason}"
        evidence = (Evidence(kernel.path, text=text),)
        return Item(
            NAME, "warning", "SupportMocInstanceTypes.KernelTooOld", kernel.release, evidence, f"use a newer kernel: {text}"
        )
    return Item(NAME, "ok", value=kernel.release)
