"""The process that holds a stack started by `image-commons stack up`, until it is told to end."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from stack.local import STATUS_FILE, LocalStack, StackError


async def supervise(folder: Path) -> None:
    """Run the stack in `folder` until SIGTERM or SIGINT; its addresses are in `status.json` while it answers."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    status = folder / STATUS_FILE
    async with LocalStack(folder) as stack:
        try:
            write_status(status, stack)
            await stopping.wait()
        finally:
            status.unlink(missing_ok=True)


def write_status(path: Path, stack: LocalStack) -> None:
    """Write what others need to find the stack; whole or not at all, readable by its owner only."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"supervisor_pid": os.getpid(), **stack.environment()}, file)
    temporary.rename(path)


def main() -> None:
    """Supervise the stack in the folder named by the first argument."""
    try:
        asyncio.run(supervise(Path(sys.argv[1])))
    except StackError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        with suppress(ValueError):
            sys.exit(130)


if __name__ == "__main__":
    main()
