"""A whole checker on a real broker: a job for an image in a store, from its record to its result."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.checker.app import build
from services.checker.settings import CheckerSettings
from shared.database.pool import Database
from tests.checker.desk import job
from tests.checker.sources.server import ObjectServer
from tests.checker.test_service import draft, results, running, told
from tests.messaging.cluster import Cluster, eventually


async def test_from_the_jobs_record_to_the_result(
    make_settings: Callable[..., CheckerSettings],
    database: Database,
    topics: str,
    serve: Callable[..., Awaitable[ObjectServer]],
    system_disk: Path,
    folder: Path,
) -> None:
    server = await serve(system_disk.read_bytes())
    store = {"name": "main", "endpoint": f"http://127.0.0.1:{server.port}", "allow_http": True, "buckets": ["images"]}
    settings = make_settings(s3_stores=[store], spool=folder)
    cluster = Cluster(settings.kafka_bootstrap_servers, topics)
    async with running(build(settings)):
        good = job("check-1", location="s3://images/one.qcow2", content_version=server.etag)
        await cluster.produce(draft(good))
        await eventually(lambda: told(database, 1))
        server.content += b"other"
        await cluster.produce(draft(good.model_copy(update={"check_id": "check-2"})))
        await eventually(lambda: told(database, 2))
    found = {data["check_id"]: data for headers, data in await results(cluster) if "completed" in headers["ce_type"]}
    assert found["check-1"]["complete"]
    assert found["check-1"]["content_version"] == good.content_version
    assert found["check-1"]["image_digest"] == f"sha256:{hashlib.sha256(system_disk.read_bytes()).hexdigest()}"
    assert (found["check-2"]["complete"], found["check-2"].get("image_digest")) == (False, None)
    assert "changed" in found["check-2"]["error"]
    assert list(folder.iterdir()) == [], json.dumps(found)
