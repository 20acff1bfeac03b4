# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where things lie in an XFS, by its super block. Source: XFS Algorithms and Data Structures, 3rd edition, "Superblocks"."""

import struct
from dataclasses import dataclass
from functools import cached_property

_META_UUID = 0x4
_LOG_VERSION_2 = 0x0400


@dataclass(frozen=True)
class Geometry:
    """What the super block `block`, of 512 bytes and judged before, says. Sectors are of 512 bytes."""

    block: bytes

    def _number(self, form: str, at: int) -> int:
        return int(struct.unpack_from(">" + form, self.block, at)[0])

    @cached_property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return self._number("I", 4)

    @cached_property
    def inode_bytes(self) -> int:
        """Bytes of an inode."""
        return self._number("H", 104)

    @cached_property
    def group_blocks(self) -> int:
        """Blocks of an allocation group."""
        return self._number("I", 84)

    @cached_property
    def groups(self) -> int:
        """Number of allocation groups."""
        return self._number("I", 88)

    @cached_property
    def is_version_5(self) -> bool:
        """Whether metadata bears checksums and sequence numbers."""
        return self._number("H", 100) & 15 == 5

    @cached_property
    def uuid(self) -> bytes:
        """The file system's UUID, which its log bears."""
        return self.block[32:48]

    @cached_property
    def metadata_uuid(self) -> bytes:
        """The UUID that its metadata bears: the one it was made with."""
        return self.block[248:264] if self.is_version_5 and self._number("I", 216) & _META_UUID else self.uuid

    @cached_property
    def log_version(self) -> int:
        """1 or 2."""
        return 2 if self.is_version_5 or self._number("H", 100) & _LOG_VERSION_2 else 1

    @cached_property
    def log_features(self) -> int:
        """What a dirty log may hold that not every Linux knows."""
        return self._number("I", 220) if self.is_version_5 else 0

    @cached_property
    def log_at(self) -> int | None:
        """Where the log begins, in bytes; None for one on another device."""
        number, bits = self._number("Q", 48), self.block[124]
        group, within = number >> bits, number & ((1 << bits) - 1)
        return (group * self.group_blocks + within) * self.block_bytes if number else None

    @cached_property
    def log_sectors(self) -> int:
        """Sectors of the log."""
        return self._number("I", 96) * self.block_bytes // 512

    def inode_number(self, group: int, block: int, index: int) -> int:
        """Return the number of the inode `index` from the beginning of a group's block."""
        in_block_bits, group_bits = self.block[123], self.block[124]
        return (group << group_bits | block) << in_block_bits | index

    @cached_property
    def cluster_blocks(self) -> int:
        """Blocks of the buffers that inodes are written in."""
        wanted = 8192
        if self.is_version_5:
            scaled = wanted * self.inode_bytes // 256
            wanted = scaled if self._number("I", 180) >= scaled // self.block_bytes else wanted
        return max(1, wanted // self.block_bytes)
