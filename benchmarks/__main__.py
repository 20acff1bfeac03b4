"""`python -m benchmarks [NAME …]`: measure what is named, print it, and write docs/performance.md if it was all."""

import argparse
import asyncio
import gc

import uvloop
from rich.console import Console

from benchmarks import check, consumer, flow, inspection, relay
from benchmarks.figures import Figure, settings_lines, table, write
from benchmarks.place import place

_ALL = {
    "relay": relay.measure,
    "consumer": consumer.measure,
    "flow": flow.measure,
    "check": check.measure,
    "inspection": inspection.measure,
}


async def _measure(names: list[str]) -> None:
    console = Console(stderr=True)
    figures: list[Figure] = []
    async with place() as where:
        for name in names:
            console.print(f"measuring {name} …")
            gc.collect()
            figures.extend(await _ALL[name](where))
        settings = settings_lines(where.postgres_version)
    print("\n".join([*settings, "", *table(figures)]))
    if names == list(_ALL):
        write(settings, figures)


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *_ALL], default=[], help="what to measure; all by default")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(arguments.names or list(_ALL)))


if __name__ == "__main__":
    main()
