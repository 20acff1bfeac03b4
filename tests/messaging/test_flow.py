"""From topic to topic: subscription, transaction, relay, over a real broker."""

import json

from shared.messaging.subscription import PositionedConsumer
from tests.messaging.cluster import eventually
from tests.messaging.deployment import Deployment
from tests.messaging.wire import fact, permit

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_facts_become_state_events_with_sequence_and_trace(deployment: Deployment) -> None:
    await deployment.start()
    await deployment.cluster.produce(
        fact("a", traceparent=f"00-{_TRACE}-00f067aa0ba902b7-01"), fact("b"), fact("a", sequence=2, name="New")
    )
    await deployment.kept(2)
    await deployment.sent()
    told = await deployment.cluster.read("account-events")
    headers = [{name: value.decode() for name, value in record.headers} for record in told]
    of_a = [position for position, record in enumerate(told) if record.key == b"a"]
    assert [headers[position]["ce_sequence"] for position in of_a] == ["1", "2"]
    assert [json.loads(told[position].value)["state"]["display_name"] for position in of_a] == ["Acme", "New"]
    first = headers[of_a[0]]
    assert first["traceparent"].startswith(f"00-{_TRACE}-")
    assert "00f067aa0ba902b7" not in first["traceparent"]
    assert (first["ce_source"], first["ce_subject"]) == ("/image-commons/sample", "a")


async def test_our_consumer_is_the_one_faststream_reads_with(deployment: Deployment) -> None:
    service = await deployment.start()
    subscription = service._subscriptions["account-facts"]
    assert type(subscription.consumer) is PositionedConsumer
    assert subscription.consumer._auto_offset_reset == "none"
    assert subscription.consumer._enable_auto_commit is False


async def test_the_first_start_reads_from_the_beginning(deployment: Deployment) -> None:
    await deployment.cluster.produce(*[fact(f"acc-{number}") for number in range(100)])
    await deployment.start()
    await deployment.kept(100)


async def test_the_database_wins_over_the_groups_offsets(deployment: Deployment) -> None:
    await deployment.cluster.produce(*[fact(f"acc-{number}") for number in range(100)])
    await deployment.cluster.commit("sample.account-facts", "account-facts", await deployment.cluster.ends("account-facts"))
    await deployment.start()
    await deployment.kept(100)


async def test_a_request_parked_until_its_fact_comes(deployment: Deployment) -> None:
    await deployment.start()
    pool = deployment.database.pool
    await deployment.cluster.produce(permit("a", ticket="1"), permit("a", ticket="2"))
    await eventually(lambda: pool.fetchval("SELECT count(*) = 2 FROM parked_requests"))
    await deployment.cluster.produce(fact("a"))

    async def answered() -> list[str]:
        rows = await pool.fetch("SELECT what FROM journal WHERE what <> 'kept' ORDER BY id")
        return [row["what"] for row in rows] if len(rows) == 2 else []

    assert await eventually(answered) == ["permitted 1", "permitted 2"]
