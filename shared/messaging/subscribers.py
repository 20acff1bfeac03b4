"""FastStream's subscribers, made in this one place, so that none of them acknowledges or goes on by itself."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from shared.messaging.subscription import POLL_TIMEOUT_MS, PositionedConsumer, Subscription

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord
    from faststream.kafka.subscriber.usecase import BatchSubscriber


async def _batch_parser(message: Any, original: Any) -> KafkaMessage:  # noqa: ANN401 - FastStream's parser signature
    """Wrap raw records without looking at their headers: the library's parser raises on None and on bytes that are no text."""
    records: tuple[ConsumerRecord[Any, Any], ...] = message
    first = records[0]
    return KafkaMessage(
        body=b"",
        raw_message=records,
        headers={},
        batch_headers=[],
        message_id=f"{first.topic}-{first.partition}-{first.offset}",
        consumer=original.__self__._consumer,  # noqa: SLF001 - the message class wants it; ours never uses it
    )


async def _no_decoder(message: KafkaMessage) -> KafkaMessage:
    """Hand the message on with its bytes as they are: decoding per record inside the framework halves throughput."""
    return message


async def subscribe(
    broker: KafkaBroker,
    subscriptions: Sequence[Subscription],
    *,
    group_prefix: str,
    records_max: Mapping[str, int],
    session_timeout_s: float,
) -> "list[BatchSubscriber]":
    """Make a subscriber for each of `subscriptions`, in a group of its own; `start_subscriber` starts it.

    `records_max` is how many records a batch of each topic (short name) may have, `session_timeout_s` after which silence the
    broker gives a consumer's partitions to others.
    """
    await broker.connect()
    config = broker.config.broker_config
    if not isinstance(config.builder, partial):
        message = "FastStream builds its consumers otherwise than the release this was written for"
        raise TypeError(message)
    connection = config.builder.keywords
    groups = {f"{group_prefix}{subscription.processor.topic}": subscription for subscription in subscriptions}

    def build(**options: Any) -> PositionedConsumer:  # noqa: ANN401 - whatever FastStream passes on
        subscription = groups[options["group_id"]]
        subscription.records_max = records_max[subscription.processor.topic]
        consumer = PositionedConsumer(**{**connection, **options})
        consumer.subscription_of_ours = subscription
        subscription.consumer = consumer
        return consumer

    config.builder = build
    subscribers = []
    for group_id, subscription in groups.items():
        subscriber = broker.subscriber(
            subscription.full_topic,
            batch=True,
            group_id=group_id,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="none",
            max_records=records_max[subscription.processor.topic],
            batch_timeout_ms=POLL_TIMEOUT_MS,
            session_timeout_ms=int(session_timeout_s * 1000),
            heartbeat_interval_ms=int(session_timeout_s * 1000 / 3),
            max_poll_interval_ms=15 * 60 * 1000,
            listener=subscription,
            parser=_batch_parser,
            decoder=_no_decoder,
        )
        subscriber(_message_handler(subscription))
        subscribers.append(subscriber)
    assert_manual(broker)
    return subscribers


async def start_subscriber(subscriber: "BatchSubscriber", subscription: Subscription) -> None:
    """Start reading. Waits for a topic that is not there; raises the client's errors, after which it may be called again."""
    try:
        await subscriber.start()
    except BaseException:
        await subscriber.stop()
        raise
    subscription.started = True


def _message_handler(subscription: Subscription) -> Any:  # noqa: ANN401 - FastStream wants a plain function
    async def handle(message: KafkaMessage) -> None:
        await subscription.handle(message)

    return handle


def assert_manual(broker: KafkaBroker) -> None:
    """Raise `RuntimeError` if any subscriber of `broker` would commit by itself.

    One on a router may, in spite of the broker's policy.
    """
    for subscriber in broker.subscribers:
        options = getattr(subscriber, "_connection_args", {})
        if subscriber.ack_policy is not AckPolicy.MANUAL or options.get("enable_auto_commit"):
            message = f"{subscriber}: acknowledges by itself; make it through subscribe()"
            raise RuntimeError(message)
