"""Apache Kafka from its jars: one node, broker and controller in one, on loopback."""

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stack.child import Child

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache" / "kafka"
_LOG4J: Final = Path(__file__).resolve().parent / "kafka" / "log4j2.xml"
_CLUSTER_ID: Final = "SW1hZ2VDb21tb25zMDAwMQ"
_POLL_S: Final = 0.05
_PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=131072
# Crash tests let a killed service's partitions go sooner than the default allows.
group.min.session.timeout.ms=500
# A killed broker is back in seconds, not in the default session time-out's 9.
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms={heartbeat_ms}
log.cleaner.dedupe.buffer.size=8388608
"""


class KafkaMissing(Exception):
    """Kafka's jars or Java are not there; the text says how to get them."""


def _jars() -> list[str]:
    jars = sorted(str(path) for path in (CACHE / "libs").glob("*.jar"))
    if not jars:
        message = f"no Kafka jars in {CACHE / 'libs'}: run `make setup`"
        raise KafkaMissing(message)
    return jars


def _java(*, fast: bool, archive: Path | None = None) -> list[str]:
    options = ["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={_LOG4J}"]
    if fast:
        options.append("-XX:TieredStopAtLevel=1")
    if archive is not None and archive.exists():
        options += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"]
    # A sorted list, not `libs/*`: the archive of classes is valid for exactly this class path.
    return ["java", *options, "-cp", ":".join(_jars())]


def _archive() -> Path:
    version = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    return CACHE / f"classes-{re.sub(r'[^0-9.]+', '-', version.splitlines()[0]).strip('-')}.jsa"


async def _run(command: list[str], log: Path) -> None:
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out)
        if await process.wait():
            message = f"{command[0]} … {' '.join(command[-6:])}: exit code {process.returncode}, see {log}"
            raise KafkaMissing(message)


async def _format(folder: Path, port: int, controller_port: int, *, fast: bool) -> Path:
    """Write the configuration and, once, the storage of a node; returns the configuration's path."""
    properties, data = folder / "server.properties", folder / "data"
    properties.write_text(
        _PROPERTIES.format(
            port=port,
            controller_port=controller_port,
            data=data,
            session_ms=1500 if fast else 3000,
            heartbeat_ms=250 if fast else 500,
        )
    )
    if not (data / "meta.properties").exists():
        tool = [*_java(fast=fast), "kafka.tools.StorageTool", "format", "--standalone", "-t", _CLUSTER_ID, "-c", str(properties)]
        await _run(tool, folder / "kafka.log")
    return properties


async def _ensure_archive(port: int, controller_port: int) -> Path:
    """Make the class-data archive, once a Java version: it halves the broker's start."""
    archive = _archive()
    if archive.exists():
        return archive
    with (CACHE / ".archive-lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if archive.exists():
            return archive
        folder = Path(tempfile.mkdtemp(prefix="archive-", dir=CACHE))
        try:
            properties = await _format(folder, port, controller_port, fast=True)
            made = folder / "classes.jsa"
            java = [*_java(fast=True), f"-XX:ArchiveClassesAtExit={made}"]
            child = Child("kafka", [*java, "kafka.Kafka", str(properties)], log=folder / "kafka.log", environment=os.environ)
            await child.start()
            await wait_for_kafka(f"127.0.0.1:{port}", 60)
            await child.stop()
            if made.exists():
                made.rename(archive)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return archive


async def kafka_child(folder: Path, *, port: int, controller_port: int, fast: bool) -> Child:
    """Return a broker whose data is in `folder`, formatted and not yet started.

    `fast` starts sooner and runs slower: for tests, not for benchmarks. Raises `KafkaMissing`.
    """
    if shutil.which("java") is None:
        message = "java is not installed: run `make setup`"
        raise KafkaMissing(message)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    archive = await _ensure_archive(port, controller_port)
    properties = await _format(folder, port, controller_port, fast=fast)
    command = [*_java(fast=fast, archive=archive), "kafka.Kafka", str(properties)]
    return Child("kafka", command, log=folder / "kafka.log", environment=os.environ)


async def kafka_answers(bootstrap_servers: str) -> bool:
    """Whether a broker answers a real request."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
    try:
        await asyncio.wait_for(admin.start(), 3)
        cluster = await asyncio.wait_for(admin.describe_cluster(), 3)
        return bool(cluster["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()


async def wait_for_kafka(bootstrap_servers: str, timeout_s: float) -> None:
    """Wait until a broker answers; raises `TimeoutError` after `timeout_s`."""
    host, _, port = bootstrap_servers.rpartition(":")
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                # The client library logs an error for each refused connection: knock first.
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                await writer.wait_closed()
            except OSError:
                await asyncio.sleep(_POLL_S)
                continue
            if await kafka_answers(bootstrap_servers):
                return
            await asyncio.sleep(_POLL_S)
