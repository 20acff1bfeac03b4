"""Folders that the database's own account can reach, gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server_folder(name: str) -> Iterator[Path]:
    """Yield a new folder for servers of a test's own; `name` is in its path."""
    made = Path(tempfile.mkdtemp(prefix=f"image-commons-{name}-", dir="/var/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
