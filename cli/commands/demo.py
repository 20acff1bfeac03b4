"""``demo``: the whole story on a real disk image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    image: Annotated[
        Path | None,
        typer.Option(
            "--image", envvar="IMAGE", exists=True, dir_okay=False, help="Publish this disk image instead.", show_default=False
        ),
    ] = None,
    against_running: Annotated[
        bool, typer.Option("--against-running", help="Tell it on the platform the environment names; start nothing.")
    ] = False,
    images_root: Annotated[
        str | None,
        typer.Option(
            "--images-root",
            help="With --against-running: the folder under which the checker sees the images.",
            show_default=False,
        ),
    ] = None,
    images_folder: Annotated[
        Path | None,
        typer.Option("--images-folder", help="Put the images here (the folder the checker's root shows).", show_default=False),
    ] = None,
) -> None:
    """Tell the whole story on a real Debian disk image: register, refuse, permit, check, publish, launch, unpublish.

    Builds the image (about a minute the first time), starts a local Kafka and PostgreSQL and the four services, checks every
    step, and leaves nothing running. Exit code 1 if a step is not as told.

    Examples:
      image-commons demo

      IMAGE=~/my.qcow2 image-commons demo

      image-commons demo --against-running --images-folder ./images --images-root /images
    """
    from demo.telling import tell

    tell(image=image, against_running=against_running, images_root=images_root, images_folder=images_folder)
