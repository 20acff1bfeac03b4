# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parts of a disk, and what is on them."""

import uuid
from dataclasses import dataclass

from filesystems.base import FileSystem


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the disk: where it lies in bytes, its GPT type, id and name where it has them, what Linux calls it.

    `number` is the partition's, 0 for the whole disk and for logical volumes; `id_text` is its PARTUUID; `mapper` a logical
    volume's name under /dev/mapper.
    """

    number: int
    offset_bytes: int
    size_bytes: int
    type: uuid.UUID | None = None
    id_text: str | None = None
    name: str = ""
    mapper: str | None = None

    @property
    def shown(self) -> str:
        """What reports call it."""
        if self.mapper is not None:
            return f"/dev/mapper/{self.mapper}"
        return f"partition {self.number}" if self.number else "the whole disk"


@dataclass(slots=True)
class Volume:
    """A partition, or a logical volume, and what is on it: `kind` names the content, `files` is its file system if it is read."""

    partition: Partition
    kind: str
    uuid: str | None = None
    label: str | None = None
    files: FileSystem | None = None
