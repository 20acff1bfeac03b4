# SPDX-License-Identifier: AGPL-3.0-or-later
"""Data that is read forward only, whatever it comes out of."""

from collections.abc import Callable

from findings import Unreadable

_STEP_BYTES = 256 * 1024


class Forward:
    """What `source` returns, piece after piece until it returns nothing, with what was read too far put back."""

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source, self._ready, self._at = source, b"", 0

    def read(self, length: int) -> bytes:
        """Read up to `length` bytes; fewer only at the end."""
        parts = []
        while length > 0 and self._fill():
            part = self._ready[self._at : self._at + length]
            self._at += len(part)
            length -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def exactly(self, length: int) -> bytes:
        """Read `length` bytes; raises `Unreadable` if there are fewer."""
        data = self.read(length)
        if len(data) != length:
            raise Unreadable("Truncated", "it ends too early")
        return data

    def skip(self, length: int) -> int:
        """Pass over `length` bytes; returns how many there were."""
        passed = 0
        while passed < length and self._fill():
            step = min(length - passed, len(self._ready) - self._at)
            self._at += step
            passed += step
        return passed

    def put_back(self, data: bytes) -> None:
        """Have `data` read again."""
        if data:
            self._ready, self._at = data + self._ready[self._at :], 0

    def part(self, length: int) -> "Forward":
        """Return the next `length` bytes as data of its own, which this one is behind once that is read or skipped to its end."""
        left = length

        def some(wanted: int) -> bytes:
            nonlocal left
            data = self.read(min(wanted, left))
            left -= len(data)
            return data

        return Forward(some)

    def _fill(self) -> bool:
        if self._at == len(self._ready):
            self._ready, self._at = self._source(_STEP_BYTES), 0
        return bool(self._ready)
