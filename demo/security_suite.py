"""What Debian's security suite has fixed, as its package list of today says: the demo's database of known vulnerabilities.

It names the fixed version of each package and no severity: a complete database (OSV, Debian's security tracker) is an operator's
to fetch, see docs/databases.md. ``mmdebstrap`` downloads the list, from wherever it takes the demo's image from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from demo.image import SUITE, BuildError, locked, system_sources
from demo.partitions import run
from services.checker.adapters.databases.kinds import KINDS, Options
from services.checker.adapters.databases.manifest import DatabaseError
from services.checker.adapters.databases.store import DatabaseStore

FRESH_S = 12 * 3600.0
NAME = f"{SUITE}-security"


@dataclass(frozen=True, slots=True)
class SecuritySuite:
    """The list of packages, and the release file that dates it."""

    packages: Path
    release: Path


def security_suite(cache: Path) -> SecuritySuite:
    """Return the lists beneath `cache`, downloaded anew if they are older than half a day and that can be done.

    Raises:
        BuildError: there are none, and none could be downloaded.
    """
    folder = cache / f"{SUITE}-security"
    found = SecuritySuite(folder / "Packages", folder / "InRelease")
    if found.release.exists() and time.time() - found.release.stat().st_mtime < FRESH_S:
        return found
    try:
        _download(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        # Yesterday's list is better than none: its date is told wherever it is used.
        if not found.release.exists():
            why = (getattr(error, "stderr", None) or str(error)).strip()[-500:]
            message = f"the package list of {SUITE}-security could not be downloaded: {why}"
            raise BuildError(message) from error
    return found


def databases(cache: Path) -> Path:
    """Return the folder of databases beneath `cache`, with one made of today's security suite; two processes may call it at once.

    Raises:
        BuildError: there is none, and none could be made.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "databases.lock"):
        return _databases(cache)


def _databases(cache: Path) -> Path:
    suite = security_suite(cache)
    store = DatabaseStore(cache / "databases")
    try:
        found = {one.name: one.manifest for one in store.found()}.get(NAME)
        if found is None or store.index_file(found).stat().st_mtime < suite.release.stat().st_mtime:
            store.add(KINDS["debian-suite"], suite.packages, name=NAME, options=Options(release=suite.release))
    except (DatabaseError, OSError) as error:
        message = f"the database of {SUITE}-security could not be made: {error}"
        raise BuildError(message) from error
    return store.folder


def _download(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="image-commons-lists-") as name:
        work = Path(name)
        work.chmod(0o777)
        command = ["mmdebstrap", "--quiet", "--variant=custom", "--format=null", "--architectures=amd64"]
        command += ["--mode=root" if os.geteuid() == 0 else "--mode=unshare"]
        command += [f"--customize-hook=copy-out /var/lib/apt/lists {work}"]
        sources = system_sources(SUITE)
        run([*command, SUITE, os.devnull, *([line for line in sources if f" {SUITE}-security " in line] or sources)])
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        for target, ending in (("Packages", "_main_binary-amd64_Packages"), ("InRelease", "_InRelease")):
            path = next(work.glob(f"lists/*_{SUITE}-security{ending}"), None)
            if path is None:
                message = f"the mirror gave no {target} of {SUITE}-security"
                raise FileNotFoundError(message)
            # Of today for us, whenever the mirror made it: its own date is inside.
            shutil.copyfile(path, fresh / target)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.chmod(0o755)
        fresh.rename(folder)
