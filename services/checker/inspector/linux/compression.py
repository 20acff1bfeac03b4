# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compressed parts of kernels and initramfs as streams, bounded in bytes read, bytes made, memory and time.

The formats are those that Linux unpacks itself (lib/decompress.c), told apart by their first bytes. LZO is one of them that no
distribution of today chooses, and that nothing here reads. LZ4 is in its legacy frame, the only one the kernel knows
(lz4_Frame_format.md, Legacy frame), which libraries leave to their callers.
"""

import bz2
import lzma
import struct
import time
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import cramjam
from backports import zstd
from isal import isal_zlib

from findings import Unreadable
from forward import Forward

CHUNK_BYTES = 256 * 1024
XZ_MEMORY_BYTES_MAX = 96 * 2**20
ZSTD_WINDOW_LOG_MAX = 27
"""128 MiB: the largest window that Linux unpacks."""
_LZ4_MAGIC = b"\x02\x21\x4c\x18"
_LZ4_BLOCK_BYTES = 8 * 2**20
_LZ4_PACKED_BYTES_MAX = _LZ4_BLOCK_BYTES + _LZ4_BLOCK_BYTES // 255 + 16
_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"\x5d\0\0": "lzma",
    b"BZh": "bzip2",
    _LZ4_MAGIC: "lz4",
    b"\x89LZO": "lzo",
}
_ANY_MAGIC = tuple(_MAGICS)


def format_of(start: bytes) -> str | None:
    """Return the compression that data starting so is in, None for none that Linux unpacks."""
    if not start.startswith(_ANY_MAGIC):
        return None
    return next(name for magic, name in _MAGICS.items() if start.startswith(magic))


@dataclass(slots=True)
class Budget:
    """What may still be spent on one image's kernels and initramfs together: bytes in, bytes out, seconds of CPU."""

    bytes_in: int = 2**30
    bytes_out: int = 2 * 2**30
    cpu_s: float = 20.0
    _started_s: float | None = None

    def spend(self, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Count; raises `Unreadable` once it is too much."""
        self.bytes_in -= bytes_in
        self.bytes_out -= bytes_out
        if self.bytes_in < 0 or self.bytes_out < 0:
            raise Unreadable("TooLarge", "kernels and initramfs unpack to more than any real ones")
        if self._started_s is None:
            self._started_s = time.process_time()
        if time.process_time() - self._started_s > self.cpu_s:
            raise Unreadable("TooSlow", f"kernels and initramfs take more than {self.cpu_s:.0f} s to unpack")


class Source(Forward):
    """A part of a file, read forward in large steps, with what was read too far put back."""

    def __init__(self, file: BinaryIO, budget: Budget, *, offset: int = 0, length: int | None = None) -> None:
        left = length

        def some(wanted: int) -> bytes:
            nonlocal left
            data = file.read(wanted if left is None else min(wanted, left))
            budget.spend(bytes_in=len(data))
            left = None if left is None else left - len(data)
            return data

        file.seek(offset)
        super().__init__(some)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a decompressor may take: bytes for xz, the largest window for zstd as a power of two."""

    xz_bytes: int = XZ_MEMORY_BYTES_MAX
    zstd_window_log: int = ZSTD_WINDOW_LOG_MAX


_AS_LINUX = Memory()


class _Spender(Protocol):
    def spend(self, *, bytes_in: int = 0, bytes_out: int = 0) -> None: ...


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib's object with the manners of the others."""

    def __init__(self, wbits: int) -> None:
        self._zlib, self._tail = isal_zlib.decompressobj(wbits=wbits), b""

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        made = self._zlib.decompress(self._tail + data, max_length)
        self._tail = self._zlib.unconsumed_tail
        return made


def _decompressor(name: str, memory: Memory) -> _Decompressor:
    if name in {"gzip", "deflate"}:
        return _Zlib(31 if name == "gzip" else -15)
    if name == "bzip2":
        return bz2.BZ2Decompressor()
    if name in {"xz", "lzma"}:
        kind = lzma.FORMAT_XZ if name == "xz" else lzma.FORMAT_ALONE
        return lzma.LZMADecompressor(format=kind, memlimit=memory.xz_bytes)
    if name == "zstd":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: memory.zstd_window_log})
    raise Unreadable("UnknownCompression", f"{name} is a compression that is not read here")


class Unpacked(Forward):
    """What one compressed frame of `source` holds, read forward; `source` then stands behind the frame.

    `name` is what `format_of` returns, or `deflate` for bare deflated data.
    """

    def __init__(self, source: Forward, name: str, budget: _Spender, memory: Memory = _AS_LINUX) -> None:
        super().__init__(self._some)
        self._packed, self._budget, self._ended = source, budget, False
        self._decompressor = None if name == "lz4" else _decompressor(name, memory)
        if self._decompressor is None:
            source.read(4)

    def _some(self, _length: int) -> bytes:
        while not self._ended:
            made = self._next_lz4() if self._decompressor is None else self._next(self._decompressor)
            self._budget.spend(bytes_out=len(made))
            if made:
                return made
        return b""

    def _next(self, decompressor: _Decompressor) -> bytes:
        data = self._packed.read(CHUNK_BYTES) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise Unreadable("Truncated", "compressed data ends too early")
        made = decompressor.decompress(data, CHUNK_BYTES)
        if decompressor.eof:
            self._ended = True
            self._packed.put_back(decompressor.unused_data)
        return made

    def _next_lz4(self) -> bytes:
        field = self._packed.read(4)
        if field == _LZ4_MAGIC:
            return b""
        size = struct.unpack("<I", field)[0] if len(field) == 4 else 0
        if not 0 < size <= _LZ4_PACKED_BYTES_MAX:
            # Legacy frames have no end mark: what is no block is what follows.
            self._ended = True
            self._packed.put_back(field)
            return b""
        packed = self._packed.read(size)
        if len(packed) < size:
            raise Unreadable("Truncated", "compressed data ends too early")
        made = bytearray(_LZ4_BLOCK_BYTES)
        try:
            length = cramjam.lz4.decompress_block_into(packed, made, output_len=_LZ4_BLOCK_BYTES)
        except cramjam.DecompressionError:
            raise Unreadable("Lz4Damaged", "an LZ4 block that makes no sense") from None
        return bytes(memoryview(made)[:length])
