# SPDX-License-Identifier: AGPL-3.0-or-later
"""A file system as it is once what its journal holds has been written back: the disk, and over it the blocks of the journal."""

from bisect import bisect_left
from collections.abc import Mapping

from part import Part


class ReplayedPart(Part):
    """`part` with some of its units of `unit_bytes` replaced.

    `units` gives by number of the unit either its content or the offset in `part` where its content lies.
    """

    def __init__(self, part: Part, unit_bytes: int, units: Mapping[int, bytes | int]) -> None:
        super().__init__(part, 0, part.size)  # type: ignore[arg-type]
        self._part, self._unit_bytes, self._units, self._numbers = part, unit_bytes, units, sorted(units)

    def _fetch(self, at: int, length: int) -> bytes:
        data = super()._fetch(at, length)
        unit, end = self._unit_bytes, at + len(data)
        numbers = self._numbers[bisect_left(self._numbers, at // unit) : bisect_left(self._numbers, -(-end // unit))]
        if not numbers:
            return data
        changed = bytearray(data)
        for number in numbers:
            start = number * unit
            content = self._units[number]
            if isinstance(content, int):
                content = self._part.at(content, unit)
            low, high = max(start, at), min(start + unit, end)
            changed[low - at : high - at] = content[low - start : high - start]
        return bytes(changed)
