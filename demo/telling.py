"""From a command to a told story: images, a deployment, the story, and an orderly end whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from cli.client import Client
from cli.connection import PROJECT, endpoints
from cli.database_folder import VARIABLE
from cli.errors import CommandError
from demo.cast import Cast
from demo.deployment import deployment
from demo.image import BuildError, build, detected_format, with_backing_file
from demo.leftovers import PREFIX, sweep
from demo.narrator import Narrator, NotAsTold
from demo.security_suite import databases as databases_of_today
from demo.story import Story, UserImageRefused
from stack import folder_lock

CACHE = PROJECT / ".cache" / "demo"


def tell(*, image: Path | None, against_running: bool, images_root: str | None, images_folder: Path | None) -> None:
    """Tell the story.

    Args:
        image: a disk image of the user's; None: the demo's own.
        against_running: use the platform that the environment names.
        images_root: the folder under which the checker sees the images.
        images_folder: a folder to copy the images into first.

    Raises:
        CommandError: a step was not as told, or something needed is missing; everything is stopped by then.
    """
    narrator = Narrator()
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as scratch:
        folder_lock.take(Path(scratch))
        try:
            databases = None if against_running else _databases()
            cast = _cast(image, Path(scratch), images_root=images_root, images_folder=images_folder, unique=against_running)
            asyncio.run(_until_told_or_stopped(narrator, cast, Path(scratch), databases))
        except BuildError as error:
            raise CommandError("what the demo needs could not be made", why=str(error)) from error
        except UserImageRefused as error:
            raise CommandError(str(error)) from error
        except NotAsTold as error:
            raise CommandError("this is not as told", why=str(error)) from error
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise CommandError("stopped", advice="nothing was left running") from None
    narrator.finished()


async def _until_told_or_stopped(narrator: Narrator, cast: Cast, scratch: Path, databases: Path | None) -> None:
    """Tell the story; SIGTERM ends it like Ctrl-C does, so that what was started is stopped.

    Without `databases` it is told on the platform that the environment names.
    """
    telling = asyncio.current_task()
    assert telling is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, telling.cancel)
    async with AsyncExitStack() as stack:
        if databases is None:
            where = endpoints()
        else:
            running = deployment(narrator, image_roots=cast.folders(), databases=databases, scratch=scratch)
            where = await stack.enter_async_context(running)
        client = await stack.enter_async_context(Client(where))
        await Story(narrator, client, cast).tell()
        if databases is not None:
            narrator.chapter("Everything is stopped again")


def _databases() -> Path:
    """Return the folder of databases that the environment names, else the demo's own."""
    named = os.environ.get(VARIABLE)
    return Path(named).absolute() if named else databases_of_today(CACHE)


def _cast(image: Path | None, scratch: Path, *, images_root: str | None, images_folder: Path | None, unique: bool) -> Cast:
    images = build(CACHE)
    suffix = f"-{time.time_ns() // 1_000_000:x}" if unique else ""
    if image is None:
        cast = Cast.of_demo(images, images_root=images_root, suffix=suffix)
    else:
        overlay = with_backing_file(image, detected_format(image), scratch / "with-backing-file.qcow2")
        cast = Cast.of_user(image, overlay, images.broken_fstab, images_root=images_root, suffix=suffix)
    return cast if images_folder is None else cast.copied_to(images_folder)
