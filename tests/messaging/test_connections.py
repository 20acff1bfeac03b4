"""The trap: on uvloop a write to a transport that the broker's death closed raises what aiokafka does not expect."""

from collections.abc import Iterator

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from shared.messaging.connections import guard_connections


@pytest.fixture
def guarded(request: pytest.FixtureRequest) -> Iterator[None]:
    """The guard in place, and afterwards aiokafka as it was."""
    names = ("send", "_send_sasl_token")
    before = {name: getattr(AIOKafkaConnection, name) for name in names}
    if request.param:
        guard_connections()
        guard_connections()
    yield
    for name, method in before.items():
        setattr(AIOKafkaConnection, name, method)


async def _write_to_a_closed_transport(bootstrap_servers: str) -> None:
    host, _, port = bootstrap_servers.partition(":")
    connection = await create_conn(host, int(port))
    writer = connection._writer
    connection.close()
    await writer.wait_closed()
    # As in the moment after the transport was closed and before the connection's reader noticed.
    connection._writer = writer
    connection.send(MetadataRequest([]))


@pytest.mark.parametrize(("guarded", "raised"), [(False, RuntimeError), (True, KafkaConnectionError)], indirect=["guarded"])
@pytest.mark.usefixtures("guarded")
def test_a_closed_transport_is_a_broken_connection(servers: dict[str, str], raised: type[Exception]) -> None:
    with pytest.raises(raised, match="closed"):
        uvloop.run(_write_to_a_closed_transport(servers["KAFKA_BOOTSTRAP_SERVERS"]))
