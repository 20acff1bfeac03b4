"""A folder for servers of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.folder import server_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder("stack") as made:
        yield made
