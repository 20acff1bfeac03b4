"""A process killed between commit and acknowledgement: the next one makes it whole.

Every other point is the crash suite's.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.messaging.cluster import eventually
from tests.messaging.deployment import Deployment
from tests.messaging.wire import fact


@asynccontextmanager
async def _process(deployment: Deployment, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = deployment.settings
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.messaging.program",
        env={
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
            "IMAGE_COMMONS_DATABASE_PREFIX": settings.database_prefix,
            "IMAGE_COMMONS_TOPIC_PREFIX": settings.topic_prefix,
            "IMAGE_COMMONS_FAULTS_DIR": str(folder),
            "IMAGE_COMMONS_LOG_LEVEL": "WARNING",
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _arm(folder: Path, point: str) -> Path:
    """Have the next process that reaches `point` die there; returns the file that proves it."""
    for name in ("armed", "hit"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "armed" / f"sample.{point}").write_text("self")
    return folder / "hit" / f"sample.{point}"


async def test_killed_between_commit_and_acknowledgement(deployment: Deployment, tmp_path: Path) -> None:
    pool = deployment.database.pool
    await deployment.cluster.produce(*[fact(f"acc-{number % 10}", sequence=1 + number // 10) for number in range(40)])
    proof = _arm(tmp_path, "consume.after_commit")
    async with _process(deployment, tmp_path) as victim:
        assert await asyncio.wait_for(victim.wait(), 30) == -signal.SIGKILL
    assert proof.exists()
    assert await pool.fetchval("SELECT count(*) FROM journal") > 0
    assert await deployment.cluster.committed("sample.account-facts", "account-facts") == {}
    async with _process(deployment, tmp_path) as last:
        await eventually(lambda: pool.fetchval("SELECT count(*) = 10 FROM accounts WHERE sequence = 4"), within_s=30)
        await deployment.sent()
        last.terminate()
        assert await asyncio.wait_for(last.wait(), 30) == 0
    assert await pool.fetchval("SELECT count(*) FROM journal") == 40
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    told: dict[tuple[bytes | None, bytes | None], set[bytes | None]] = {}
    for record in await deployment.cluster.read("account-events"):
        headers = dict(record.headers)
        told.setdefault((record.key, headers["ce_sequence"]), set()).add(headers["ce_id"])
    assert len(told) == 40
    assert {len(identities) for identities in told.values()} == {1}
