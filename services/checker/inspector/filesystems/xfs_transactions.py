# SPDX-License-Identifier: AGPL-3.0-or-later
"""The transactions of an XFS' log, put together of the operations of its records.

Source: XFS Algorithms and Data Structures, 3rd edition, "Journaling Log"; Linux, fs/xfs/libxfs/xfs_log_format.h.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from filesystems.xfs_log import NOT_REPLAYED, Record
from findings import Unreadable

Item = list[bytes | bytearray]
"""A change: its description, then what it describes, in one region or several."""
_START, _COMMIT, _CONTINUES, _CONTINUED, _END, _UNMOUNT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_OPERATION = struct.Struct(">IIBB2x")
_CLIENTS = (0x69, 0xAA)
_HEADER_MAGIC = b"NART"
_HEADER_BYTES = 16
_REGIONS_MAX = 257
_OPEN_BYTES_MAX = 96 * 2**20
"""What transactions that are not yet committed may hold, with what each of their regions takes beside its bytes."""
_REGION_COST_BYTES = 128
_OPERATIONS_MAX = 2_000_000


@dataclass(slots=True)
class _Open:
    """A transaction that has begun: the sequence number of the record it began in, and its regions so far."""

    lsn: int
    cost: int = 0
    has_header: bool = False
    items: list[Item] = field(default_factory=list)
    missing: int = 0
    """How many regions the last item still lacks."""

    def take(self, kind: int, data: bytes) -> None:
        """Take what an operation brings: a region, the first part of one, or the rest."""
        self.cost += len(data) + _REGION_COST_BYTES
        if kind in (0, _CONTINUES):
            self._begin(data)
        elif kind == _CONTINUED:
            self._go_on(data)
        else:
            raise Unreadable(NOT_REPLAYED, "an operation makes no sense")

    def _begin(self, data: bytes) -> None:
        if not data:
            return
        if not self.has_header:
            if not data.startswith(_HEADER_MAGIC) or len(data) > _HEADER_BYTES:
                raise Unreadable(NOT_REPLAYED, "a transaction begins without its header")
            self.has_header = len(data) == _HEADER_BYTES
            return
        if not self.missing:
            count = int.from_bytes(data[2:4], "little")
            if not 0 < count <= _REGIONS_MAX:
                raise Unreadable(NOT_REPLAYED, "an item's number of regions makes no sense")
            self.items.append([])
            self.missing = count
        self.items[-1].append(data)
        self.missing -= 1

    def _go_on(self, data: bytes) -> None:
        if not self.has_header:
            self.has_header = True  # what the header says is not needed
            return
        if not self.items:
            raise Unreadable(NOT_REPLAYED, "a region goes on that did not begin")
        regions = self.items[-1]
        if isinstance(regions[-1], bytes):
            regions[-1] = bytearray(regions[-1])
        regions[-1] += data


def committed(records: Iterable[Record]) -> Iterator[tuple[int, list[Item]]]:
    """Yield the transactions in the order of their commits: sequence number and items. Raises `Unreadable`."""
    begun: dict[int, _Open] = {}
    cost = operations = 0
    for record in records:
        operations += record.operations
        if operations > _OPERATIONS_MAX:
            raise Unreadable(NOT_REPLAYED, "it holds too many operations")
        for number, flags, data in _operations(record):
            transaction = begun.get(number)
            if transaction is None:
                if flags & _START:
                    begun[number] = _Open(record.lsn, _REGION_COST_BYTES)
                    cost += _REGION_COST_BYTES
                continue
            cost -= transaction.cost
            kind = flags & ~_END & ~(_CONTINUES if flags & _CONTINUED else 0)
            if kind in (_COMMIT, _UNMOUNT):
                del begun[number]
                if transaction.missing:
                    raise Unreadable(NOT_REPLAYED, "an item lacks regions")
                if kind == _COMMIT:
                    yield transaction.lsn, transaction.items
            else:
                transaction.take(kind, data)
                cost += transaction.cost
            if cost > _OPEN_BYTES_MAX:
                raise Unreadable(NOT_REPLAYED, "its transactions take too much memory")


def _operations(record: Record) -> Iterator[tuple[int, int, bytes]]:
    """Yield a record's operations: the transaction's number, flags, data."""
    data, at = record.data, 0
    for _ in range(record.operations):
        if at >= len(data):
            return
        if at + _OPERATION.size > len(data):
            raise Unreadable(NOT_REPLAYED, "an operation does not fit into its record")
        number, length, client, flags = _OPERATION.unpack_from(data, at)
        begin, at = at + _OPERATION.size, at + _OPERATION.size + length
        if client not in _CLIENTS or at > len(data):
            raise Unreadable(NOT_REPLAYED, "an operation makes no sense")
        yield number, flags, data[begin:at]
