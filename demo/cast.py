"""Who and what the story is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cli.commands.image import location_beneath
from demo.partitions import copy_disk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demo.image import DemoImages


@dataclass(frozen=True, slots=True)
class Cast:
    """Names, ids and images of one telling.

    Args:
        image: the disk image that is published.
        with_backing_file: a qcow2 that reads from another file.
        broken_fstab: an image whose fstab names a disk that does not exist.
        facts: what the build knows of `image`; empty for an image of the user's.
        name: the name it is published under.
        description: the line published with it.
        images_root: folder under which the checker sees the images; None: where they are.
        suffix: keeps the ids of several tellings on one platform apart.
    """

    image: Path
    with_backing_file: Path
    broken_fstab: Path
    facts: Mapping[str, str]
    name: str
    description: str
    images_root: str | None = None
    suffix: str = ""
    region: str = "eu-central-1"
    ticket: str = "T-1001"

    @classmethod
    def of_demo(cls, images: DemoImages, *, images_root: str | None = None, suffix: str = "") -> Self:
        """Return the cast with the image that the demo built itself."""
        kernel = images.facts["kernel_version"].split("-")[0]
        day = datetime.now(UTC).strftime("%Y%m%d")
        return cls(
            image=images.qcow2,
            with_backing_file=images.with_backing_file,
            broken_fstab=images.broken_fstab,
            facts=images.facts,
            name=f"debian12_kernel{kernel}_{images.facts['architecture']}_{day}",
            description="Debian 12, small: base system and cloud kernel",
            images_root=images_root,
            suffix=suffix,
        )

    @classmethod
    def of_user(
        cls, image: Path, with_backing_file: Path, broken_fstab: Path, *, images_root: str | None = None, suffix: str = ""
    ) -> Self:
        """Return the cast with an image of the user's."""
        return cls(
            image=image,
            with_backing_file=with_backing_file,
            broken_fstab=broken_fstab,
            facts={},
            name="my-image_1.0",
            description="An image of my own",
            images_root=images_root,
            suffix=suffix,
        )

    @property
    def vendor(self) -> str:
        """The account that publishes."""
        return f"acme{self.suffix}"

    @property
    def user(self) -> str:
        """The account that launches."""
        return f"zoe{self.suffix}"

    @property
    def image_id(self) -> str:
        """The image that is published."""
        return f"img-debian{self.suffix}"

    @property
    def other_image_id(self) -> str:
        """The user's own image."""
        return f"img-zoe{self.suffix}"

    @property
    def backing_image_id(self) -> str:
        """The image with a backing file."""
        return f"img-backing{self.suffix}"

    @property
    def fstab_image_id(self) -> str:
        """The image with the broken fstab."""
        return f"img-fstab{self.suffix}"

    @property
    def instance_id(self) -> str:
        """The user's instance."""
        return f"i-zoe{self.suffix}"

    def folders(self) -> list[Path]:
        """Return the folders the checker has to read from."""
        return sorted({path.resolve().parent for path in (self.image, self.with_backing_file, self.broken_fstab)})

    def copied_to(self, folder: Path) -> Self:
        """Return the same cast with its images copied into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        return replace(
            self,
            image=_copied(self.image, folder),
            with_backing_file=_copied(self.with_backing_file, folder),
            broken_fstab=_copied(self.broken_fstab, folder),
        )

    def location(self, file: Path) -> str:
        """Return the URI under which the checker finds `file`."""
        return file.resolve().as_uri() if self.images_root is None else location_beneath(self.images_root, file)

    @staticmethod
    def shown(file: Path) -> str:
        """Return a path as short as it can be typed from here."""
        try:
            return str(file.relative_to(Path.cwd()))
        except ValueError:
            return str(file)


def _copied(source: Path, folder: Path) -> Path:
    """Return a copy of `source` in `folder`, made unless it is there already; everybody may read it."""
    target = folder / source.name
    if source.resolve() != target.resolve():
        copy_disk(source, target)
        target.chmod(0o644)
    return target
