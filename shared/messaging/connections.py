"""aiokafka's connections on uvloop.

uvloop refuses to write to a transport that is closed already with a `RuntimeError`, where asyncio's own loop drops the bytes.
aiokafka knows only `OSError` there (aiokafka issue 1038): its task that refreshes the cluster's metadata ends by it, and the
client never again learns where a partition lives. uvloop stays for its tail latency (ARCHITECTURE.md), hence this guard.
"""

from functools import wraps
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_GUARDED: Final = ("send", "_send_sasl_token")


def guard_connections() -> None:
    """Have every connection of aiokafka in this process say `KafkaConnectionError` of a closed transport; once is enough."""
    for name in _GUARDED:
        method = getattr(AIOKafkaConnection, name)
        if not hasattr(method, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _guarded(method))


def _guarded(method: Any) -> Any:  # noqa: ANN401 - aiokafka has no types
    @wraps(method)
    def send(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return method(connection, *arguments, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            message = f"Connection at {connection.host}:{connection.port} closed: {error}"
            raise KafkaConnectionError(message) from error

    return send
