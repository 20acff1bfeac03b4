"""Which folders the checker may read images from: named by option, by the environment, or those a checkout has anyway."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.connection import PROJECT
from cli.output import console, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROOTS_VARIABLE = "IMAGE_COMMONS_IMAGE_ROOTS"
DEFAULT_FOLDERS = (PROJECT / ".cache" / "demo", PROJECT / "images")


@dataclass(frozen=True, slots=True)
class ImageRoots:
    """The folders, and who named them."""

    folders: tuple[str, ...]
    found: str

    def tell(self) -> None:
        """Say on standard error which folders apply, or warn that there are none."""
        out = console(stderr=True)
        if self.folders:
            out.print(plain(f"the checker reads images beneath {', '.join(self.folders)} ({self.found})"), soft_wrap=True)
        else:
            warning = "warning: the checker may read images from nowhere, so no image can be checked; name a folder with --images"
            out.print(plain(warning, "yellow"), soft_wrap=True)

    def variable(self) -> str:
        """Return them as the checker's settings read them."""
        return json.dumps(self.folders)


def image_roots(given: Sequence[Path], environment: Mapping[str, str], *, local: bool) -> ImageRoots | None:
    """Return the folders that apply: `given`, else the environment's, else on a local stack those of the checkout that exist.

    None: the environment holds something else than a list, which the checker's settings refuse by name.
    """
    if given:
        return ImageRoots(tuple(str(folder.resolve()) for folder in given), "--images")
    text = environment.get(ROOTS_VARIABLE, "").strip()
    if not text:
        there = tuple(str(folder.resolve()) for folder in DEFAULT_FOLDERS if folder.is_dir()) if local else ()
        return ImageRoots(there, "of this checkout; --images names others")
    if not text.startswith("["):
        return ImageRoots(tuple(part for part in text.split(os.pathsep) if part), ROOTS_VARIABLE)
    try:
        listed = json.loads(text)
    except ValueError:
        return None
    return ImageRoots(tuple(listed), ROOTS_VARIABLE) if all(isinstance(each, str) for each in listed) else None
