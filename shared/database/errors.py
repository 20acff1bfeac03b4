"""Which failures of a transaction may heal by themselves.

Everything not proven permanent is transient: a list of transient types once lost a thousand events to a type that was not on it.
"""

from enum import Enum
from typing import Final

import asyncpg
from aiokafka.errors import KafkaError

_TRANSIENT_CLASSES: Final = frozenset({"08", "40", "53", "57"})
_TRANSIENT_STATES: Final = frozenset({"25006", "55P03"})
_DATA_CLASSES: Final = frozenset({"22", "23"})


class Fault(Enum):
    """What a failure says about its cause (SQLSTATE classes: PostgreSQL manual, appendix A)."""

    TRANSIENT = "transient"
    """Database or broker away, deadlock, shortage: try again, never blame the input."""
    DATA = "data"
    """A value or a constraint (classes 22 and 23): permanent after the second try."""
    UNKNOWN = "unknown"
    """Anything else, most likely our own fault: permanent after the third try."""


TRIES: Final = {Fault.DATA: 2, Fault.UNKNOWN: 3}
"""How often each kind must have failed, on a database that just committed a probe write, before the input is to blame."""


def fault_of(error: BaseException) -> Fault:
    """Classify `error` by its SQLSTATE, or by its type where it has none."""
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        # asyncpg refuses a value before it reaches the server, such as a number beyond bigint; the class is not exported.
        return Fault.DATA
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES:
            return Fault.TRANSIENT
        if state[:2] in _DATA_CLASSES:
            return Fault.DATA
        return Fault.UNKNOWN
    if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError | KafkaError):
        return Fault.TRANSIENT
    return Fault.UNKNOWN
