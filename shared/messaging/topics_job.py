"""The topics job: every topic with its settings, made or corrected. Safe to run twice, and twice at once."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import PARTITIONS, RECORD_BYTES_MAX, TOPICS, Topic

_DAY_MS: Final = 24 * 60 * 60 * 1000
_TOPIC_EXISTS: Final = 36
_READY_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.1


class TopicsError(Exception):
    """The topics are not as they must be; the text names each topic and what to do."""


def settings_of(topic: Topic, replication: int) -> dict[str, str]:
    """Return the broker's settings of `topic`.

    LogAppendTime: age is judged by the broker's clock, not a stranger's. Short segments where time-limited: a segment is deleted
    whole.
    """
    settings = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "cleanup.policy": "delete",
        "retention.ms": "-1" if topic.retention_ms is None else str(topic.retention_ms),
        "min.insync.replicas": str(max(1, replication - 1)),
    }
    if topic.retention_ms is not None:
        settings["segment.ms"] = str(_DAY_MS)
    return settings


async def apply_topics(
    bootstrap_servers: str, *, prefix: str, replication: int = 1, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Make the topics that are missing, correct the settings of those that are there, wait until all have leaders.

    `tell` hears one line a topic. Raises `TopicsError`, or the client's errors if the broker is away.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        wanted = {prefix + topic.name: topic for topic in TOPICS.values()}
        answer = await admin.create_topics(
            [
                NewTopic(name, PARTITIONS, replication, topic_configs=settings_of(topic, replication))
                for name, topic in wanted.items()
            ]
        )
        existing = _existing(answer.topic_errors)
        if existing:
            answers = await admin.alter_configs(
                [
                    ConfigResource(ConfigResourceType.TOPIC, name, settings_of(wanted[name], replication))
                    for name in sorted(existing)
                ]
            )
            _refused([(name, code, text) for answer in answers for code, text, _, name in answer.resources])
        await _wait_for_leaders(admin, list(wanted))
        for name in wanted:
            tell(f"{name}: {'there' if name in existing else 'made'}")
    finally:
        await admin.close()


def _existing(topic_errors: list[tuple[Any, ...]]) -> set[str]:
    """Return the topics that were there already; the client does not raise, it answers with a code a topic."""
    existing, failed = set(), []
    for name, code, *text in topic_errors:
        if code == _TOPIC_EXISTS:
            existing.add(name)
        else:
            failed.append((name, code, text[0] if text else None))
    _refused(failed)
    return existing


def _refused(answers: list[tuple[str, int, str | None]]) -> None:
    failed = [f"{name}: error {code} {text or ''}".strip() for name, code, text in answers if code]
    if failed:
        message = "the broker refused topics: " + "; ".join(failed)
        raise TopicsError(message)


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    problems: dict[str, str] = {}
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while True:
                problems = {}
                for described in await admin.describe_topics(names):
                    partitions = described["partitions"]
                    if described["error_code"] or any(partition["leader"] < 0 for partition in partitions):
                        problems[described["topic"]] = "no leader yet"
                    elif len(partitions) != PARTITIONS:
                        raise _other_count(described["topic"], len(partitions))
                if not problems:
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        message = (
            f"topics without a leader after {_READY_TIMEOUT_S:.0f} s: {', '.join(sorted(problems))}; look at the broker's log"
        )
        raise TopicsError(message) from None


def _other_count(topic: str, count: int) -> TopicsError:
    return TopicsError(
        f"{topic} has {count} partitions, {PARTITIONS} are needed: a key's order depends on the count, so it cannot be changed; "
        "use another topic prefix, or delete the topic if it is unused"
    )
