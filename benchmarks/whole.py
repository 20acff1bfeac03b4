"""`python -m benchmarks.whole IMAGE DATABASES`: the whole check without its digest, as a checker that is running does it.

YARA-X with the rules that ship, vulnerabilities by the databases in the folder, secrets, passwords, no clamd. Prints its seconds.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from services.checker.adapters.databases.store import DatabaseStore
from services.checker.adapters.inspector_process import inspect_image
from services.checker.adapters.malware_search import hand_over, search_by_rules
from services.checker.handlers.judge_vulnerabilities import judge_vulnerabilities


async def whole(image: str, databases: str) -> float:
    """Check the image; raises `RuntimeError` where anything was not judged."""
    store = DatabaseStore(Path(databases))
    search = search_by_rules(store=store)
    descriptor = os.open(image, os.O_RDONLY)
    began = time.monotonic()
    async with hand_over(search) as handed:
        found = await inspect_image(descriptor, malware=handed)
    _, used = judge_vulnerabilities(tuple(found.packages.values()), store)
    taken = time.monotonic() - began
    if found.error is not None or not used:
        raise RuntimeError(found.error or f"{databases} has no database for {image}")
    return taken


if __name__ == "__main__":
    print(asyncio.run(whole(*sys.argv[1:])))
