"""Judge an image's packages by the databases that the operator loaded. Blocks: to be run in a thread."""

from collections.abc import Sequence
from typing import Final

from services.checker.adapters.databases.manifest import DatabaseError
from services.checker.adapters.databases.store import DatabaseStore
from services.checker.domain.releases import release_of_image
from services.checker.domain.vulnerabilities import judge, no_database
from shared.contracts.report import Item, PackageList, ScanDatabase

_USED_MAX: Final = 12
"""A report names 16 databases at most, those for malware among them."""


def judge_vulnerabilities(lists: Sequence[PackageList], databases: DatabaseStore | None) -> tuple[Item, tuple[ScanDatabase, ...]]:
    """Return the item SECURITY.Vulnerabilities, and the databases it rests on: those that cover a release of the image's.

    What is known to be exploited is of no release, so such a list is used always. A database that cannot be read counts as
    missing, whatever the others say.
    """
    if databases is None:
        return no_database("no folder of databases is named"), ()
    releases = {release for listed in lists if listed.packages and (release := release_of_image(listed)) is not None}
    try:
        with databases.opened() as opened:
            used = [
                (manifest, index)
                for manifest, index in opened
                if index.lists_exploited or any(index.covers(release) for release in releases)
            ]
            item = judge(lists, [index for _, index in used])
    except (DatabaseError, OSError) as error:
        return no_database(str(error)), ()
    # The oldest first: they decide whether all of them are recent enough.
    named = sorted((manifest.as_used() for manifest, _ in used), key=lambda one: one.date)
    return item, tuple(named[:_USED_MAX])
