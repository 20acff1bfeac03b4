"""Header names that are not UTF-8, which Kafka lets anybody write.

aiokafka decodes names itself, and raises for the whole fetched batch at the first that is no text; nothing steps over it. After
such a batch records are read for a while by aiokafka's own parser in Python, over bytes that decode with escapes: slower, and
every record gets through. What such a header means is for the envelope to say.
"""

import time
from typing import Any, Final

import aiokafka.consumer.fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import LegacyRecordBatch, _MemoryRecordsPy

LENIENT_S: Final = 30.0
_FAST: Final = aiokafka.consumer.fetcher.MemoryRecords
_lenient_until = 0.0


class _Bytes(bytearray):
    """Bytes that always decode: what is no text as escapes."""

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - as bytearray's own: a number, or a slice
        found = super().__getitem__(key)
        return _Bytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:  # noqa: ARG002 - never strict
        return super().decode(encoding, "backslashreplace")


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Bytes):
            self._buffer = _Bytes(self._buffer)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self, *_: Any) -> Any:  # noqa: ANN401 - aiokafka's two kinds of batch
        found = self._next_slice
        if found is None:
            return None
        self._cache_next()
        magic = found[self.MAGIC_OFFSET]
        return _Batch(found) if magic > 1 else LegacyRecordBatch(found, magic)


def read_leniently() -> None:
    """Let every consumer of this process read what it fetches from now on with names escaped, for a while."""
    global _lenient_until  # noqa: PLW0603 - aiokafka knows one parser a process
    _lenient_until = time.monotonic() + LENIENT_S
    aiokafka.consumer.fetcher.MemoryRecords = _Records


def read_fast_again() -> None:
    """Go back to the fast parser once the while is over."""
    if aiokafka.consumer.fetcher.MemoryRecords is _Records and time.monotonic() > _lenient_until:
        aiokafka.consumer.fetcher.MemoryRecords = _FAST
