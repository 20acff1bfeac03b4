# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the name and the metadata say of the image what it is. What is not claimed, or cannot be told, contradicts nothing."""

from collections.abc import Iterator

from boot_mode import boot_mode
from facts import Facts
from family import family_of
from findings import Evidence, Item, Unreadable
from linux.architecture import architecture as of_linux
from linux.kernels import kernels
from linux.os_release import OsRelease, os_release
from security.claims import (
    NameClaims,
    architecture_of,
    boots_as,
    claims_of_name,
    claims_of_platform,
    is_system,
    is_version,
    is_windows,
)
from security.troubles import Trouble, item_of

NAME = "SECURITY.Claims"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Compare each claim with what was found."""
    said = facts.claimed
    troubles: list[Trouble] = []
    if said.name is not None:
        troubles += _of_system(facts, "the name", claims_of_name(said.name), said.name)
    if said.platform is not None:
        troubles += _of_system(facts, "the metadata", claims_of_platform(said.platform), said.platform)
    troubles += _of_metadata(facts)
    is_claimed = any(one is not None for one in (said.name, said.os_type, said.platform, said.architecture, said.boot_mode))
    return item_of(NAME, troubles, "no contradiction" if is_claimed else "nothing claimed")


def _of_system(facts: Facts, who: str, claims: NameClaims, words: str) -> Iterator[Trouble]:
    yield from _of_platform(facts, who, claims, words)
    if claims.kernel is not None:
        releases = _releases(facts)
        if releases and not any(is_version(claims.kernel, release) for release in releases):
            yield _contradiction("Kernel", f"{who} says kernel {claims.kernel}", ", ".join(releases[-3:]), words)
    if claims.architecture is not None:
        yield from _of_architecture(facts, who, claims.architecture, words)


def _of_platform(facts: Facts, who: str, claims: NameClaims, words: str) -> Iterator[Trouble]:
    if claims.system is None or facts.root is None:
        return
    if (family_of(facts) == "windows") != is_windows(claims.system):
        # A system that nobody here knows may be of either family.
        if is_windows(claims.system) or is_system(claims.system, "windows", "") is False:
            yield _contradiction("System", f"{who} says {claims.system}", family_of(facts), words)
        return
    if is_windows(claims.system):
        yield from _of_windows(facts, who, claims, words)
        return
    found = facts.get(os_release)
    if not isinstance(found, OsRelease):
        return
    os_id, version = found.values.get("ID", "linux"), found.values.get("VERSION_ID")
    same = is_system(claims.system, os_id, found.values.get("ID_LIKE", ""))
    if same is False:
        yield _contradiction("System", f"{who} says {claims.system}", os_id, words, found.file.evidence())
    elif same and claims.version and version and not is_version(claims.version, version):
        yield _contradiction(
            "Version", f"{who} says version {claims.version}", f"{os_id} {version}", words, found.file.evidence()
        )


def _of_windows(facts: Facts, who: str, claims: NameClaims, words: str) -> Iterator[Trouble]:
    from windows.version import version_of, windows

    found = facts.get(windows)
    if isinstance(found, Unreadable):
        return
    if "server" in (claims.system or "") and not found.is_server:
        yield _contradiction("System", f"{who} says {claims.system}", found.product, words, found.evidence)
    version = version_of(found.platform)
    if claims.version and version and not is_version(claims.version, version):
        yield _contradiction("Version", f"{who} says version {claims.version}", found.platform, words, found.evidence)


def _releases(facts: Facts) -> list[str]:
    """Return the releases of the kernels that it may start."""
    if family_of(facts) == "windows":
        from windows.version import windows

        version = facts.get(windows)
        return [] if isinstance(version, Unreadable) else [version.kernel]
    found = facts.get(kernels)
    return [one.release for one in found] if isinstance(found, list) else []


def _architecture(facts: Facts) -> str | None:
    if family_of(facts) == "windows":
        from windows.version import architecture

        known = facts.get(architecture)
        return None if isinstance(known, Unreadable) else known[0]
    found = facts.get(of_linux)
    return found if isinstance(found, str) else None


def _of_architecture(facts: Facts, who: str, wanted: str, words: str) -> Iterator[Trouble]:
    found = _architecture(facts)
    if isinstance(found, str) and architecture_of(found) != wanted:
        yield _contradiction("Architecture", f"{who} says {wanted}", found, words)


def _of_metadata(facts: Facts) -> Iterator[Trouble]:
    said = facts.claimed
    if said.os_type is not None and facts.root is not None and said.os_type.casefold() != family_of(facts):
        yield _contradiction("System", f"the metadata says {said.os_type}", family_of(facts), said.os_type)
    wanted = architecture_of(said.architecture) if said.architecture is not None else None
    if wanted is not None:
        yield from _of_architecture(facts, "the metadata", wanted, said.architecture or "")
    mode = facts.get(boot_mode)
    if said.boot_mode is not None and isinstance(mode, str) and not boots_as(said.boot_mode, mode):
        yield _contradiction("BootMode", f"the metadata says it boots by {said.boot_mode}", mode, said.boot_mode)


def _contradiction(problem: str, claim: str, found: str, words: str, *where: Evidence) -> Trouble:
    text = f"{claim} ({words}); found: {found}"
    return Trouble(
        "failed", f"Claims.{problem}", f"{claim}, but it is {found}: correct what is wrong", (Evidence(text=text), *where)
    )
