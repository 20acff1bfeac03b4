"""The traps of FastStream and aiokafka: each situation built on a real broker."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.util import calc_crc32c
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaRouter

from shared.contracts.envelope import Event
from shared.database.transaction import Transaction
from shared.messaging import subscribers, subscription
from shared.messaging.partitions import partition_of
from shared.messaging.service import Consume
from shared.messaging.subscribers import assert_manual
from tests.messaging.cluster import eventually
from tests.messaging.deployment import Deployment
from tests.messaging.sample import accounts, keep_account
from tests.messaging.wire import fact

GROUP = "sample.account-facts"


class _Gate:
    """A handler that waits, once it has met `name`, until it is let through."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.met, self.opened = asyncio.Event(), asyncio.Event()

    async def __call__(self, tx: Transaction, events: Sequence[Event[Any]]) -> None:
        for event in events:
            if event.data.display_name == self.name:
                self.met.set()
                await self.opened.wait()
            await keep_account(tx, event)


async def test_nothing_is_acknowledged_before_its_commit(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second batch in flight the group's offset must stay at the first's end, whatever the consumer's position is."""
    gate = _Gate("slow")
    place = partition_of("a")
    monkeypatch.setattr(subscription, "_COMMIT_EVERY_S", 1e9)
    service = await deployment.start([Consume("account-facts", gate, batch_records_max=1)])
    await deployment.cluster.produce(
        fact("a", sequence=1), fact("a", sequence=2), fact("a", sequence=3, name="slow"), fact("a", sequence=4)
    )
    await asyncio.wait_for(gate.met.wait(), 20)
    stored = await deployment.database.pool.fetchval(
        "SELECT next_offset FROM consumer_offsets WHERE topic = 'account-facts' AND partition = $1", place
    )
    assert stored == 2
    # A rebalance with the batch in flight: what is done is acknowledged, and the consumer's position, which is further, is not.
    ours = service._subscriptions["account-facts"]
    assert ours.consumer is not None
    assert await ours.consumer.position(TopicPartition(ours.full_topic, place)) >= 3
    await ours._commit(ours.consumer)
    assert (await deployment.cluster.committed(GROUP, "account-facts"))[place] == 2
    monkeypatch.setattr(subscription, "_COMMIT_EVERY_S", 0.01)
    gate.opened.set()

    async def acknowledged() -> bool:
        return (await deployment.cluster.committed(GROUP, "account-facts")).get(place) == 4

    await eventually(acknowledged)


async def test_a_stop_acknowledges_what_is_done(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_COMMIT_EVERY_S", 1e9)
    service = await deployment.start()
    await deployment.cluster.produce(fact("a"))
    await deployment.kept(1)
    await deployment.stop(service)
    assert (await deployment.cluster.committed(GROUP, "account-facts"))[partition_of("a")] == 1


async def test_a_batch_lost_inside_the_framework_is_read_again(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = []
    parser = subscribers._batch_parser

    async def failing_once(message: Any, original: Any) -> Any:
        if not failures:
            failures.append(message)
            message = "a parser that raises"
            raise ValueError(message)
        return await parser(message, original)

    monkeypatch.setattr(subscribers, "_batch_parser", failing_once)
    monkeypatch.setattr(subscription, "_RETRY_S", 0.01)
    await deployment.cluster.produce(*[fact(f"acc-{number}") for number in range(20)])
    await deployment.start()
    await deployment.kept(20)
    assert failures


async def test_headers_that_are_none_or_no_text_cost_only_their_own_record(deployment: Deployment) -> None:
    await deployment.cluster.produce(
        fact("a"),
        fact("b").with_header("x-none", None).with_header("x-bytes", b"\xff\xfe"),
        fact("c").with_header("ce_id", None),
        fact("d").with_header("ce_source", b"\xff\xfe"),
        fact("e"),
        partition=0,
    )
    await deployment.start()
    await deployment.kept(3)
    dead = await deployment.database.pool.fetch('SELECT "offset" FROM dead_letters ORDER BY "offset"')
    assert [row["offset"] for row in dead] == [2, 3]
    await deployment.sent()
    assert len(await deployment.cluster.read("dead-letters")) == 2


async def test_a_header_name_that_is_no_text_costs_nobody_anything(deployment: Deployment) -> None:
    """Of three records in one batch the second has such a header; it is no header of ours, and all three are taken."""
    service = await deployment.start()
    async with AIOKafkaProducer(bootstrap_servers=deployment.cluster.address) as producer:
        batch = producer.create_batch()
        for account in "abc":
            draft = fact(account)
            more = [("XXXX", b"1")] if account == "b" else []
            batch.append(key=draft.key, value=draft.value, timestamp=None, headers=[*draft.headers, *more])
        buffer = batch._build()
        position = bytes(buffer).index(b"XXXX")
        buffer[position : position + 4] = b"\xff\xfe\xfd\xfc"
        buffer[17:21] = calc_crc32c(memoryview(buffer)[21:]).to_bytes(4, "big")
        await (await producer.send_batch(batch, deployment.cluster.prefix + "account-facts", partition=3))
    await deployment.kept(3)
    await deployment.cluster.produce(fact("d"))
    await deployment.kept(4)
    await deployment.ready(service)


async def test_topics_are_never_made_by_a_service(deployment: Deployment) -> None:
    await deployment.cluster.delete("account-facts")
    service = deployment.begin()
    await deployment.not_ready(service, "account-facts")
    assert "account-facts" not in await deployment.cluster.topics()
    await deployment.cluster.create("account-facts")
    await deployment.cluster.produce(fact("a"))
    await deployment.kept(1)
    await deployment.ready(service)


async def test_a_stored_offset_beyond_the_log_stops_the_consumer_loudly(deployment: Deployment) -> None:
    """The topic was made anew: reading on from its beginning or its end would both be wrong, and silent."""
    await deployment.database.pool.execute("INSERT INTO consumer_offsets VALUES ('account-facts', 3, 1000)")
    await deployment.cluster.produce(fact("a"), partition=3)
    service = deployment.begin()
    assert "beyond the end" in await deployment.not_ready(service, "consume.account-facts")
    assert service.health.stalled() == {}
    assert (
        await deployment.database.pool.fetchval(
            "SELECT next_offset FROM consumer_offsets WHERE partition = 3 AND topic = 'account-facts'"
        )
        == 1000
    )
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM accounts") == 0


async def test_a_stored_offset_before_the_log_stops_the_consumer_loudly(deployment: Deployment) -> None:
    """Retention has passed what was not read yet."""
    await deployment.database.pool.execute("INSERT INTO consumer_offsets VALUES ('account-facts', 3, 1)")
    await deployment.cluster.produce(*[fact(f"acc-{number}") for number in range(10)], partition=3)
    await deployment.cluster.forget("account-facts", {3: 5})
    service = deployment.begin()
    assert "outside the log" in await deployment.not_ready(service, "consume.account-facts")
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM accounts") == 0


async def test_a_log_that_begins_later_is_read_from_there_at_the_first_start(deployment: Deployment) -> None:
    await deployment.cluster.produce(*[fact(f"acc-{number}") for number in range(10)], partition=3)
    await deployment.cluster.forget("account-facts", {3: 5})
    await deployment.start()
    await deployment.kept(5)


async def test_a_halted_consumer_stops_in_good_order(deployment: Deployment) -> None:
    await deployment.database.pool.execute("INSERT INTO consumer_offsets VALUES ('account-facts', 3, 1000)")
    service = deployment.begin()
    await deployment.not_ready(service, "consume.account-facts")
    await deployment.stop(service, within_s=5)


async def test_a_consumer_that_halted_reads_no_more(deployment: Deployment) -> None:
    """A release that fails most of its input leaves the rest of it to be read by the next."""
    await deployment.cluster.produce(*[fact(f"acc-{number}", name="fail") for number in range(60)], partition=3)
    service = deployment.begin()
    assert "failed by our own fault" in await deployment.not_ready(service, "consume.account-facts", within_s=60)
    ours = service._subscriptions["account-facts"]
    assert ours.consumer is not None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ours.before_poll(ours.consumer), 0.2)
    await deployment.stop(service)
    dead = await deployment.database.pool.fetchval("SELECT count(*) FROM dead_letters")
    stands = await deployment.database.pool.fetchval(
        "SELECT next_offset FROM consumer_offsets WHERE topic = 'account-facts' AND partition = 3"
    )
    assert 0 < dead == stands < 60


async def test_a_second_process_takes_its_share_and_every_effect_is_once(deployment: Deployment) -> None:
    await deployment.start([Consume("account-facts", accounts(), batch_records_max=20)])
    drafts = [fact(f"acc-{number}") for number in range(600)]
    await deployment.cluster.produce(*drafts[:200])
    second = await deployment.start([Consume("account-facts", accounts(), batch_records_max=20)])
    await deployment.cluster.produce(*drafts[200:400])
    await deployment.kill(second)
    await deployment.cluster.produce(*drafts[400:])
    await deployment.kept(600)
    assert await deployment.database.pool.fetchval("SELECT max(applied) FROM accounts") == 1
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM journal") == 600
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM dead_letters") == 0


async def _handle(_message: object) -> None:
    pass


async def test_assert_manual_finds_a_router_that_would_acknowledge_by_itself() -> None:
    """A subscriber on a router does not inherit the broker's policy."""
    broker = KafkaBroker("127.0.0.1:1", ack_policy=AckPolicy.MANUAL)
    router = KafkaRouter()
    router.subscriber("t", group_id="g")(_handle)
    broker.include_router(router)
    with pytest.raises(RuntimeError, match="acknowledges by itself"):
        assert_manual(broker)


@pytest.mark.filterwarnings("ignore:AckPolicy:UserWarning")
@pytest.mark.parametrize("policy", [policy for policy in AckPolicy if policy is not AckPolicy.MANUAL])
async def test_assert_manual_refuses_every_other_policy(policy: AckPolicy) -> None:
    broker = KafkaBroker("127.0.0.1:1")
    broker.subscriber("t", group_id="g", ack_policy=policy)(_handle)
    with pytest.raises(RuntimeError, match="acknowledges by itself"):
        assert_manual(broker)


async def test_assert_manual_is_content_with_manual() -> None:
    broker = KafkaBroker("127.0.0.1:1")
    broker.subscriber("t", group_id="g", ack_policy=AckPolicy.MANUAL)(_handle)
    assert_manual(broker)
