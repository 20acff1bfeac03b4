# SPDX-License-Identifier: AGPL-3.0-or-later
"""CRC-32C (RFC 3720, appendix B.4), which the standard library has not, and for which no parser's package need be imported."""

_POLYNOMIAL = 0x82F63B78
_TABLE: list[int] = []


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`."""
    if not _TABLE:
        for byte in range(256):
            value = byte
            for _ in range(8):
                value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
            _TABLE.append(value)
    table, found = _TABLE, 0xFFFFFFFF
    for byte in data:
        found = found >> 8 ^ table[(found ^ byte) & 0xFF]
    return found ^ 0xFFFFFFFF
