# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether files that give their user more rights came with a package. Sources: inode(7), capabilities(7)."""

from facts import Facts
from findings import Evidence, Item, Unreadable
from security.owners import owned
from security.troubles import Trouble, item_of, unjudged
from security.walk import all_files

NAME = "SECURITY.Privileges"
FAMILIES = frozenset({"linux"})
_ADVICE = "take the setuid or setgid bit or the capabilities away (chmod u-s,g-s; setcap -r), or install the file from a package"


def judge(facts: Facts) -> Item:
    """Compare the setuid, setgid and capability files with what the packages own."""
    facts.files()
    files = facts.get(all_files)
    if isinstance(files, Unreadable):
        return Item(NAME, "unsupported", "Privileges.NotReadable", advice=f"the files could not be walked: {files}")
    troubles = [unjudged("Privileges.NotAllSeen", one, "a part of the files") for one in files.unread]
    by_package = owned(facts, [one.path for one in files.privileged]) if files.privileged else set()
    if isinstance(by_package, Unreadable):
        troubles.append(unjudged("Privileges.OwnersUnknown", by_package, f"the origin of {len(files.privileged)} files"))
        return item_of(NAME, troubles, None)
    strays = [one for one in files.privileged if one.path not in by_package]
    if strays:
        evidence = tuple(Evidence(one.path, text=one.rights) for one in strays)
        troubles.append(
            Trouble("warning", "Privileges.NoPackage", f"{len(strays)} such files belong to no package: {_ADVICE}", evidence)
        )
    return item_of(NAME, troubles, f"{len(files.privileged)} files, all of packages")
