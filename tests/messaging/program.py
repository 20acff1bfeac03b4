"""The sample service as a process of its own: `python -m tests.messaging.program`."""

import asyncio

from shared.messaging.service import Consume, Service
from shared.settings import CommonSettings
from tests.messaging.sample import accounts, permits

if __name__ == "__main__":
    wishes = [Consume("account-facts", accounts(), batch_records_max=10), Consume("operator-requests", permits())]
    asyncio.run(Service("sample", CommonSettings.from_environment(), consumes=wishes).run())
