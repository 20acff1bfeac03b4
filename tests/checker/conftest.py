"""A checker for each test: its database, its reader and workers without a broker, its HTTP, a folder of images."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from services.checker.http import routes
from services.checker.settings import CheckerSettings
from shared.database.pool import Database
from shared.health import Health
from shared.http.application import application
from shared.settings import CommonSettings
from tests.checker.databases import recent_databases
from tests.checker.desk import Desk
from tests.conftest import OpenDatabase
from tests.inspector.disks import ext4, gpt, qcow2


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database("checker")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The folder whose images this checker opens; what lies beside it is out of bounds."""
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of databases, recent ones."""
    return recent_databases(tmp_path_factory.mktemp("databases"))


@pytest.fixture
def make_settings(common_settings: CommonSettings, images: Path, databases: Path) -> Callable[..., CheckerSettings]:
    """A function that returns settings that are patient with a busy machine, but for what it is given."""

    def make(**different: object) -> CheckerSettings:
        given = {
            "image_roots": (images,),
            "databases": databases,
            "lease_s": 60,
            "renew_every_s": 20,
            "check_timeout_s": 60,
            **different,
        }
        return CheckerSettings.model_validate({**common_settings.model_dump(), "http_port": 0, **given})

    return make


@pytest.fixture
def make_desk(database: Database, make_settings: Callable[..., CheckerSettings]) -> Callable[..., Desk]:
    """A function that returns a checker whose settings differ as it is told, on this test's database."""
    return lambda **different: Desk(database, make_settings(**different))


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the checker's HTTP, without a socket."""
    app = application("checker", Health(stalled_after_s=60), routes(lambda: database.pool))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://checker") as client:
        yield client


@pytest.fixture(scope="session")
def system_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A qcow2 that nothing is wrong with."""
    folder = tmp_path_factory.mktemp("disks")
    return qcow2(folder / "good.qcow2", gpt(folder / "good.raw", ext4(folder / "root.ext4")))


@pytest.fixture
def image(images: Path, system_disk: Path) -> Path:
    return Path(shutil.copy(system_disk, images / "one.qcow2"))
