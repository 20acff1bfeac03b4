# SPDX-License-Identifier: AGPL-3.0-or-later
"""The transactions of an XFS' log, put together of the operations of its records.

Source: XFS Algorithms and Data Structures, 3rd edition, "Journaling Log"; Linux, fs/xfs/libxfs/xfs_log_format.h.
"""

import struct
from collections.abc import Iterator, Iterable
from dataclasses import dataclass, field

from filesystems.xfs_log import Record, not_replayed

Item = list[bytes | bytearray]
"""A change: its description, then what it describes, in one region or several."""
_START, _COMMIT, _CONTINUES, _CONTINUED, _END, _UNMOUNT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_CLIENTS = (0x69, 0xAA)
_HEADER_MAGIC = b"NART"
_HEADER_BYTES = 16
_REGIONS_MAX = 257
_OPEN_BYTES_MAX = 96 * 2**20
"""What transactions that are not yet committed may hold, with what each of their regions takes beside its bytes."""
_REGION_COST_BYTES = 128


@dataclass(slots=True)
class _Open:
    """A transaction that has begun: the sequence number of the record it began in, and its regions so far."""

    lsn: int
    cost: int = 0
    has_header: bool = False
    items: list[Item] = field(default_factory=list)
    missing: int = 0
    """How many regions the last item still lacks."""

    def add(self, data: bytes) -> None:
        """Add a region, or the first part of one."""
        if not data:
            return
        if not self.has_header:
            if not data.startswith(_HEADER_MAGIC) or len(data) > _HEADER_BYTES:
                raise not_replayed("a transaction begins without its header")
            self.has_header = len(data) == _HEADER_BYTES
            return
        if not self.missing:
            if len(data) < 4 or not 0 < (count := struct.unpack_from("<H", data, 2)[0]) <= _REGIONS_MAX:
                raise not_replayed("an item's number of regions makes no sense")
            self.items.append([])
            self.missing = count
        self.items[-1].append(data)
        self.missing -= 1

    def add_rest(self, data: bytes) -> None:
        """Add what did not fit into the record before."""
        if not self.has_header:
            self.has_header = True  # what the header says is not needed
        elif self.items:
            self.items[-1][-1] = bytearray(self.items[-1][-1]) if isinstance(self.items[-1][-1], bytes) else self.items[-1][-1]
            self.items[-1][-1] += data
        else:
            raise not_replayed("a region goes on that did not begin")


def committed(records: Iterable[Record]) -> Iterator[tuple[int, list[Item]]]:
    """Yield the transactions in the order of their commits: sequence number and items. Raises `Unreadable`."""
    begun: dict[int, _Open] = {}
    cost = 0
    for record in records:
        data, at = record.data, 0
        for _ in range(record.operations):
            if at >= len(data):
                break
            if at + 12 > len(data):
                raise not_replayed("an operation does not fit into its record")
            number, length, client, flags = struct.unpack_from(">IIBB", data, at)
            at += 12 + length
            if client not in _CLIENTS or at > len(data):
                raise not_replayed("an operation makes no sense")
            transaction = begun.get(number)
            if transaction is None:
                if flags & _START:
                    begun[number] = _Open(record.lsn, _REGION_COST_BYTES)
                    cost += _REGION_COST_BYTES
                continue
            transaction.cost += length + _REGION_COST_BYTES
            cost += length + _REGION_COST_BYTES
            if cost > _OPEN_BYTES_MAX:
                raise not_replayed("its transactions take too much memory")
            kind = flags & ~_END & ~(_CONTINUES if flags & _CONTINUED else 0)
            if kind in (0, _CONTINUES):
                transaction.add(data[at - length : at])
            elif kind == _CONTINUED:
                transaction.add_rest(data[at - length : at])
            elif kind in (_COMMIT, _UNMOUNT):
                cost -= begun.pop(number).cost
                if transaction.missing:
                    raise not_replayed("an item lacks regions")
                if kind == _COMMIT:
                    yield transaction.lsn, transaction.items
            else:
                raise not_replayed("an operation makes no sense")
