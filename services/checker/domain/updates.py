"""What to do about packages that a fix is released for. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from services.checker.domain.versions import Scheme
from shared.contracts.report import PackageList

_NAMES_MAX: Final = 12
_PLAIN: Final = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z.+_-]{0,80}")
"""A package's name that may stand in a command: whoever made the image chose it, and whoever reads the advice may type it."""
_KERNEL: Final = re.compile(r"linux-(?:image-|lts\Z|virt\Z)|kernel(?:-core|-default|-uek)?\Z")
_SOME: Final[dict[Scheme, str]] = {
    "deb": "apt-get update && apt-get install --only-upgrade",
    "rpm": "dnf upgrade",
    "apk": "apk update && apk add --upgrade",
}
_ALL: Final[dict[Scheme, str]] = {
    "deb": "apt-get update && apt-get full-upgrade",
    "rpm": "dnf upgrade",
    "apk": "apk update && apk upgrade",
}


def how_to_update(lists: Sequence[PackageList], names: Sequence[str], *, unfixed: bool) -> str:
    """Return the command that installs the fixed versions of the packages `names`, and what else is to be done."""
    if not names:
        return "no fixed version is released: remove what the image does not need, or wait for one"
    listed = next((one for one in lists if any(package.name == names[0] for package in one.packages)), lists[0])
    wanted = list(dict.fromkeys(names))
    suse = any(word in (listed.distro or listed.namespace or "").lower() for word in ("suse", "sles"))
    kernel = any(_KERNEL.match(name) for name in wanted)
    # A new kernel is a new package, by Debian's names: only a full upgrade brings it.
    if len(wanted) > _NAMES_MAX or not all(map(_PLAIN.fullmatch, wanted)) or (kernel and listed.type == "deb"):
        command = "zypper update" if suse else _ALL[listed.type]
    else:
        command = f"{'zypper update' if suse else _SOME[listed.type]} {' '.join(wanted)}"
    parts = [f"install the fixed versions: {command}"]
    parts += ["remove the kernels that are replaced"] if kernel else []
    parts += ["make the image anew"]
    parts += ["for the others no fix is released: remove what the image does not need"] if unfixed else []
    return "; ".join(parts)
