# SPDX-License-Identifier: AGPL-3.0-or-later
"""dissect.btrfs with bounds: trees that lead nowhere new, nodes that make no sense, extents that inflate to more than they may.

Importing this imports the parser, and puts the bounded tree and decoder in place of its own.
"""

import io
import stat
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, ClassVar, NamedTuple, cast

from backports.zstd import DecompressionParameter, ZstdDecompressor
from dissect.btrfs import btrfs, stream, tree
from dissect.btrfs.c_btrfs import c_btrfs
from dissect.util.compression import lzo
from isal import isal_zlib

from filesystems.base import Node
from findings import Unreadable

LEVEL_MAX = 7
_HEADER_BYTES, _POINTER, _ITEM = 101, struct.Struct("<QBQ16x"), struct.Struct("<QBQ8x")
"""What a node begins with, and what it then has of its children or items: each with a key of object, kind and offset."""
_KEY_BYTES, _ADDRESS, _PLACE = 17, struct.Struct("<Q"), struct.Struct("<II")
_NODES_WITH_KEYS = 128
_FOLDERS_MAX = 32
"""Above a subvolume, within the one that holds it."""
_NAME_BYTES_MAX = 255
"""BTRFS_NAME_LEN."""
_UNPACKED_BYTES_MAX = 128 * 1024
"""What the file system itself never exceeds: BTRFS_MAX_UNCOMPRESSED."""
_PACKED_BYTES_MAX = 256 * 1024
_ZSTD_WINDOW_LOG_MAX = 17


class Key(NamedTuple):
    """What an item is found by. Source: struct btrfs_disk_key."""

    objectid: int
    type: int
    offset: int


class Item(NamedTuple):
    """Where the data of an item lie, from the end of the node's header. Source: struct btrfs_item."""

    key: Key
    offset: int
    size: int


class Pointer(NamedTuple):
    """A child of a node. Source: struct btrfs_key_ptr."""

    key: Key
    blockptr: int


class BoundedCursor(tree.Cursor):  # type: ignore[misc]
    """A cursor that goes down by one level at each step, and along by ascending keys: it comes to an end."""

    def push(self, address: int, initial_index: int = 0) -> None:
        """Go down to the node at `address`, which must be what its parent says."""
        parent = self._header
        super().push(address, initial_index)
        node, nodesize = self._header, self.btree.btrfs.node_size
        capacity = (nodesize - _HEADER_BYTES) // (_POINTER if node.level else _ITEM).size
        if not 1 <= node.nritems <= capacity or node.level > LEVEL_MAX or node.bytenr != address:
            raise Unreadable("Malformed", "a node of a btrfs tree makes no sense")
        if parent is not None and node.level != parent.level - 1:
            raise Unreadable("Malformed", "a btrfs tree leads back to itself")

    def next(self) -> None:
        """Go to the next item, whose key must be greater."""
        before = self._keys_here()[self._index]
        super().next()
        if self._keys_here()[self._index] <= before:
            raise Unreadable("Malformed", "the keys of a btrfs tree do not ascend")

    def search(self, objectid: int | None = None, type: int | None = None, offset: int | None = None) -> bool:  # noqa: A002 - named there
        """Go to the first item whose key is not less; what is None is as good as 0. Returns whether there is one.

        The parser's own search makes an object of each key that it looks at, which took most of the time of reading a file.
        """
        wanted = (objectid or 0, type or 0, offset or 0)
        while self._header.level:
            self._index = max(bisect_right(self._keys_here(), wanted) - 1, 0)
            pointer = cast("Pointer", self._read_item(self._index))
            self.push(pointer.blockptr)
        self._index = bisect_left(self._keys_here(), wanted)
        if self._index < self._header.nritems:
            return True
        self._index -= 1
        try:
            self.next()
        except ValueError:
            self._index = None  # type: ignore[assignment] # as the parser's own leaves it
            return False
        return True

    def _read_item(self, index: int) -> "Item | Pointer":
        """Return the child or item at `index` of the node, as the parser reads it but for the making of its objects."""
        at = _HEADER_BYTES + index * (_POINTER if self._header.level else _ITEM).size
        if self._header.level:
            (address,) = _ADDRESS.unpack_from(self._node, at + _KEY_BYTES)
            return Pointer(Key(*self._keys_here()[index]), address)
        return Item(Key(*self._keys_here()[index]), *_PLACE.unpack_from(self._node, at + _KEY_BYTES))

    def _keys_here(self) -> list[tuple[int, int, int]]:
        return self.btree.keys(self._header.bytenr)  # type: ignore[no-any-return]


class BoundedTree(tree.BTree):  # type: ignore[misc]
    """A tree with bounded cursors."""

    def __init__(self, *given: Node, **more: Node) -> None:
        super().__init__(*given, **more)
        self.keys = lru_cache(_NODES_WITH_KEYS)(self._keys)

    def _keys(self, address: int) -> list[tuple[int, int, int]]:
        """Return the keys of a node that makes sense."""
        node, header = self._read_node(address)
        entry = _POINTER if header.level else _ITEM
        return list(entry.iter_unpack(node[_HEADER_BYTES : _HEADER_BYTES + header.nritems * entry.size]))

    def cursor(self) -> BoundedCursor:
        """Return a new cursor."""
        return BoundedCursor(self)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """Seconds of a time, as the parser's own has them."""

    sec: int = 0


@dataclass(frozen=True, slots=True)
class PlaceholderInode:
    """What Linux says of a placeholder."""

    mode: ClassVar[int] = stat.S_IFDIR | 0o755
    uid: ClassVar[int] = 0
    gid: ClassVar[int] = 0
    size: ClassVar[int] = 0
    mtime: ClassVar[Timestamp] = Timestamp()


@dataclass(frozen=True, slots=True)
class Placeholder:
    """The empty directory that Linux shows for an entry that names a subvolume which is not there.

    A snapshot has the entries of the subvolumes beneath its origin, but those stay with the origin. Linux gives all of them inode
    number 2; here each has one that no inode has, since a directory with many names is none.
    """

    subvolume: Node
    inum: int
    size: ClassVar[int] = 0
    inode: ClassVar[PlaceholderInode] = PlaceholderInode()


class BoundedBtrfs(btrfs.Btrfs):  # type: ignore[misc]
    """A file system of one device."""

    def open_file(self, node: Node) -> BinaryIO:
        """Return the content of a regular file or symbolic link, after a look at its extents."""
        content: BinaryIO = node.open()
        for extent in getattr(content, "extents", ()):
            if extent.compression and (extent.disk_length > _PACKED_BYTES_MAX or extent.length > _UNPACKED_BYTES_MAX):
                raise Unreadable("Malformed", "a compressed extent is larger than any file system makes it")
        return content

    def entries(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield a directory's entries as Linux shows them; raises `Unreadable` for one of neither inode nor subvolume.

        Source: fs/btrfs/inode.c, btrfs_lookup_dentry and what it calls: an entry is a subvolume's if the root tree says the same.
        """
        if isinstance(node, Placeholder):
            return
        for _, data in node.subvolume.tree.cursor().iter(node.inum, c_btrfs.BTRFS_DIR_INDEX_KEY, 0, ignore_offset=True):
            entry = c_btrfs.btrfs_dir_item(data)
            name, number = bytes(entry.name), int(entry.location.objectid)
            if entry.location.type == c_btrfs.BTRFS_INODE_ITEM_KEY:
                child = node.subvolume.inode(number, entry.type, node)
            elif entry.location.type != c_btrfs.BTRFS_ROOT_ITEM_KEY:
                raise Unreadable("Malformed", "a directory entry of a btrfs names neither an inode nor a subvolume")
            elif self._is_subvolume_there(node, name, number):
                child = self.open_subvolume(number, node).root
            else:
                child = Placeholder(node.subvolume, -number)
            yield name.decode(errors="surrogateescape"), child

    def beneath(self, number: int) -> Iterator[tuple[int, int, str]]:
        """Yield number, folder (its inode) and name of each subvolume that lies right beneath the subvolume `number`."""
        for item, data in self._root_tree.cursor().iter(number, c_btrfs.BTRFS_ROOT_REF_KEY, 0, ignore_offset=True):
            reference = c_btrfs.btrfs_root_ref(data)
            yield int(item.key.offset), int(reference.dirid), _name(reference)

    def path_of(self, volume: Node, folder: int) -> str:
        """Return the path of a folder (its inode) from the subvolume's top, with a slash at its end unless it is the top."""
        names: list[str] = []
        while folder != volume.root.inum:
            if len(names) > _FOLDERS_MAX:
                raise Unreadable("PathTooDeep", f"a subvolume more than {_FOLDERS_MAX} folders deep")
            item, data = volume.tree.find(folder, c_btrfs.BTRFS_INODE_REF_KEY)
            names.append(_name(c_btrfs.btrfs_inode_ref(data)))
            folder = int(item.key.offset)
        return "".join(f"{name}/" for name in reversed(names))

    def _is_subvolume_there(self, folder: Node, name: bytes, number: int) -> bool:
        key = (folder.subvolume.objectid, c_btrfs.BTRFS_ROOT_REF_KEY, number)
        for _, data in self._root_tree.cursor().iter(*key):
            reference = c_btrfs.btrfs_root_ref(data)
            return int(reference.dirid) == folder.inum and bytes(reference.name) == name
        return False


def _name(reference: Node) -> str:
    name = bytes(reference.name)
    if len(name) > _NAME_BYTES_MAX:
        raise Unreadable("Malformed", f"a name of {len(name)} bytes in a btrfs")
    return name.decode(errors="surrogateescape")


def decode_extent(data: bytes, compression: int, encryption: int, sector_size: int) -> bytes:
    """Return the extent's content, at most 128 KiB of it."""
    if encryption:
        raise Unreadable("Encrypted", "an encrypted extent")
    if compression == c_btrfs.BTRFS_COMPRESS_ZLIB:
        return isal_zlib.decompressobj().decompress(data, _UNPACKED_BYTES_MAX)
    if compression == c_btrfs.BTRFS_COMPRESS_ZSTD:
        unpacker = ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
        return unpacker.decompress(data, _UNPACKED_BYTES_MAX)
    if compression == c_btrfs.BTRFS_COMPRESS_LZO:
        return _decode_lzo(data, sector_size)
    return bytes(data)


def _decode_lzo(data: bytes, sector_size: int) -> bytes:
    """Unpack segments of a sector each; the length of one never crosses a sector's border. Source: fs/btrfs/lzo.c."""
    source, found = io.BytesIO(data), bytearray()
    end = min(len(data), struct.unpack("<I", source.read(4))[0])
    while source.tell() < end and len(found) < _UNPACKED_BYTES_MAX:
        left = sector_size - source.tell() % sector_size
        if left < 4:
            source.seek(left, io.SEEK_CUR)
        (length,) = struct.unpack("<I", source.read(4))
        if not length or length > 2 * sector_size:
            raise Unreadable("Malformed", f"an LZO segment of {length} bytes")
        found += lzo.decompress(source.read(length), False, sector_size)  # noqa: FBT003 - positional there
    return bytes(found)


btrfs.BTree = BoundedTree
btrfs.decode_extent = stream.decode_extent = decode_extent
