"""Where the command line keeps the databases that nobody named a folder for."""

from __future__ import annotations

import os
from pathlib import Path

from cli.connection import PROJECT

DEMO_FOLDER = PROJECT / ".cache" / "demo" / "databases"
"""Where `make demo-image` puts the demo's."""
VARIABLE = "IMAGE_COMMONS_DATABASES"


def default_folder() -> Path:
    """Return the user's own folder of databases. Source: the XDG base directory specification."""
    given = os.environ.get("XDG_DATA_HOME", "")
    # A relative path there is to be ignored, says the specification.
    try:
        home = Path(given) if given.startswith("/") else Path.home() / ".local" / "share"
    except RuntimeError:
        # A user without a home, as in a container.
        home = Path("/var/lib")
    return home / "image-commons" / "databases"


def folder_to_run_with(*, local: bool) -> Path:
    """Return the folder for services that got none: the user's own; on a local stack, if that is empty, the demo's."""
    own = default_folder()
    return DEMO_FOLDER if local and not any(own.glob("*/database.json")) and DEMO_FOLDER.is_dir() else own
