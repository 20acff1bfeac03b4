# SPDX-License-Identifier: AGPL-3.0-or-later
"""Extended attributes of ext, in the inode and in a block of their own.

Source: Linux, Documentation/filesystems/ext4 (attributes); xattr(7) for the largest value.
"""

import struct
from collections.abc import Callable, Iterator

from findings import Unreadable

VALUE_BYTES_MAX = 64 * 1024
_MAGIC = 0xEA020000
_BLOCK_HEADER_BYTES = 32
_OLD_INODE_BYTES = 128
_ENTRY = struct.Struct("<BBHIII")
_PREFIXES = {
    1: "user.",
    2: "system.posix_acl_access",
    3: "system.posix_acl_default",
    4: "trusted.",
    6: "security.",
    7: "system.",
    8: "system.richacl",
}

OpenValue = Callable[[int, int], bytes]
"""Returns so many bytes of the value that is the content of inode so-and-so."""


def in_inode(raw: bytes, value_of: OpenValue) -> Iterator[tuple[str, bytes]]:
    """Yield the attributes behind the fields of the inode `raw`."""
    if len(raw) < _OLD_INODE_BYTES + 4:
        return
    start = _OLD_INODE_BYTES + struct.unpack_from("<H", raw, _OLD_INODE_BYTES)[0]
    if start + 4 <= len(raw) and struct.unpack_from("<I", raw, start)[0] == _MAGIC:
        area = raw[start + 4 :]
        yield from _entries(area, 0, value_of)


def in_block(block: bytes, value_of: OpenValue) -> Iterator[tuple[str, bytes]]:
    """Yield the attributes in the block that an inode names."""
    if struct.unpack_from("<I", block)[0] != _MAGIC:
        raise Unreadable("AttributesDamaged", "a block of extended attributes has no magic number")
    yield from _entries(block, _BLOCK_HEADER_BYTES, value_of)


def _entries(area: bytes, at: int, value_of: OpenValue) -> Iterator[tuple[str, bytes]]:
    """Yield what the entries from `at` on name; values lie where they say, counted from the start of `area`."""
    while at + 4 <= len(area) and any(area[at : at + 4]):
        if at + _ENTRY.size > len(area):
            raise Unreadable("AttributesDamaged", "the extended attributes of a file are cut off")
        name_length, index, offset, inode, size, _ = _ENTRY.unpack_from(area, at)
        name = area[at + _ENTRY.size : at + _ENTRY.size + name_length]
        if size > VALUE_BYTES_MAX or (not inode and offset + size > len(area)) or len(name) < name_length:
            raise Unreadable("AttributesDamaged", f"an extended attribute of {size} bytes at byte {offset}")
        value = value_of(inode, size) if inode else area[offset : offset + size]
        yield _PREFIXES.get(index, f"{index}.") + name.decode(errors="surrogateescape"), value
        at += _ENTRY.size + name_length + -name_length % 4
