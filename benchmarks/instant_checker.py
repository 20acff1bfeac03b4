"""The checker with a check that takes no time: everything else of a publication is what is measured."""

import asyncio
from datetime import UTC, datetime

import uvloop
from uuid_utils import uuid7

from services.checker.adapters.inspector_process import OnProgress
from services.checker.app import build
from services.checker.settings import CheckerSettings
from shared.contracts.checks import CheckRequested
from shared.contracts.report import Attributes, ImageFile, Item, Report, ScanDatabase
from shared.contracts.rules import RULES_VERSION, declared_items

_ATTRIBUTES = Attributes(
    platform="Debian", os_version="Debian 12", kernel_version="6.1.0-1-amd64", architecture="x86_64", boot_mode="UEFI"
)


async def _check(_request: CheckRequested, _on_progress: OnProgress) -> Report:
    now = datetime.now(UTC)
    return Report(
        report_id=str(uuid7()),
        image=ImageFile(digest=f"sha256:{'0' * 64}", size_bytes=1, virtual_size_bytes=1, format="raw"),
        rules_version=RULES_VERSION,
        databases=(ScanDatabase(name="none", version="1", date=now.date().isoformat()),),
        started_at=now,
        finished_at=now,
        attributes=_ATTRIBUTES,
        items=tuple(Item(name=name, level="ok") for name in declared_items(RULES_VERSION, "linux")),
    )


def main() -> None:
    """Run until SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build(CheckerSettings.from_environment(), _check).run())


if __name__ == "__main__":
    main()
