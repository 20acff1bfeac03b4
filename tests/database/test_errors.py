"""Which failures may heal by themselves: whatever is not proven permanent."""

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from asyncpg.exceptions._base import DataError as RefusedByClient

from shared.database.errors import Fault, fault_of


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.AdminShutdownError("killed"),
        asyncpg.CrashShutdownError("crashed"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.QueryCanceledError("cancelled"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.ReadOnlySQLTransactionError("standby"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.SerializationError("serialisation"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DiskFullError("disk"),
        asyncpg.OutOfMemoryError("memory"),
        asyncpg.LockNotAvailableError("lock"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionRefusedError("refused"),
        TimeoutError("slow"),
        KafkaConnectionError("broker away"),
        KafkaTimeoutError("broker slow"),
    ],
)
def test_transient(error: Exception) -> None:
    assert fault_of(error) is Fault.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CharacterNotInRepertoireError("NUL"),
        asyncpg.UniqueViolationError("twice"),
        asyncpg.CheckViolationError("range"),
        RefusedByClient("value out of int64 range"),
    ],
)
def test_data(error: Exception) -> None:
    assert fault_of(error) is Fault.DATA


@pytest.mark.parametrize("error", [asyncpg.UndefinedTableError("no table"), KeyError("x"), RecursionError("deep")])
def test_unknown(error: Exception) -> None:
    assert fault_of(error) is Fault.UNKNOWN
