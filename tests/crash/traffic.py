"""What accounts, operators and upstream services do, told to the system as a foreign writer would, and what must come of it.

Every fact and request is sent twice, under one identity, as a writer does that does not know whether its first try arrived.
"""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import BaseModel
from pydantic_core import to_json
from uuid_utils import uuid7

from shared.contracts.content_version import content_version_of
from shared.contracts.envelope import encode
from shared.contracts.facts import AccountStated, ImageRegistered
from shared.contracts.registry import event_type_of
from shared.contracts.requests import (
    LaunchRequested,
    PermitRequested,
    PublishRequested,
    ReinitRequested,
    ReleaseRequested,
    ShareRequested,
    UnpublishRequested,
)
from tests.crash.journal import PREFIX, Heard, Journal
from tests.inspector.disks import Root, ext4

REGION: Final = "eu-1"
ANSWER_TIMEOUT_S: Final = 90.0
_RETRY_S: Final = 0.2


class Traffic:
    """Talks to the platform at `bootstrap_servers` and hears its answers in `journal`; disk images lie in `images`."""

    def __init__(self, bootstrap_servers: str, journal: Journal, images: Path) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True, request_timeout_ms=2000
        )
        self._journal = journal
        self.good = images / "good.raw"
        self.broken = images / "broken.raw"
        ext4(self.good)
        ext4(self.broken, Root({"etc/fstab": b"UUID=0badf00d-0000-4000-8000-00000000dead / ext4 defaults 0 1\n"}))

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def say(self, data: BaseModel, key: str, sequence: int | None = None) -> str:
        """Send `data` twice under one identity; return its id once the broker has it."""
        kind = event_type_of(type(data))
        identity = str(uuid7())
        headers, value = encode(data, id=identity, source="/tests/crash", subject=key, time=datetime.now(UTC), sequence=sequence)
        for _ in range(2):
            await self._delivered(PREFIX + kind.topic, key.encode(), value, headers)
        return identity

    async def _delivered(self, topic: str, key: bytes, value: bytes, headers: Any) -> None:
        while True:
            try:
                await self._producer.send_and_wait(topic, value, key=key, headers=headers)
            except KafkaError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def ask(self, model: type[BaseModel], key: str, actor: tuple[str, str], **data: Any) -> Heard:
        """Send a request by `actor` (kind, id) and return its one answer."""
        body = {"actor": {"kind": actor[0], "id": actor[1]}, "region": REGION, **data}
        request_id = await self.say(model.model_validate_json(to_json(body)), key)
        return await self._journal.answer(request_id, ANSWER_TIMEOUT_S)

    async def vendor(self, account: str) -> None:
        """Let `account` be an enterprise with the permission to publish."""
        await self._account(account)
        answer = await self.ask(PermitRequested, account, ("operator", "ops"), account_id=account, ticket="T-1")
        assert answer.type == "account.permitted", answer

    async def _account(self, account: str) -> None:
        await self.say(AccountStated(account_id=account, status="active", enterprise_verified=True), account, _now())

    async def image(self, image: str, owner: str, file: Path) -> None:
        """Register `file` as the image of `owner`."""
        fact = {
            "image_id": image,
            "region": REGION,
            "owner_account_id": owner,
            "name": f"debian12-{image}",
            "status": "Available",
            "encrypted": False,
            "created_at": datetime.now(UTC).isoformat(),
            "location": f"file://{file}",
            "content_version": content_version_of(file.stat()),
            "format": "raw",
            "size_bytes": file.stat().st_size,
        }
        await self.say(ImageRegistered.model_validate_json(to_json(fact)), image, _now())

    async def life(self, name: str) -> None:
        """Publish, launch, refuse a share, unpublish, refuse a re-initialisation, release: one image, one instance."""
        vendor, stranger, image, instance = (f"{kind}-{name}" for kind in ("v", "s", "img", "i"))
        by_vendor, by_stranger = ("account", vendor), ("account", stranger)
        await self.vendor(vendor)
        await self._account(stranger)
        await self.image(image, vendor, self.good)
        published = await self.publish(image, vendor)
        assert published.type == "image.published", published
        assert len(self._journal.said(published.correlation_id or "", "image.tagged")) == 1
        launched = await self.ask(
            LaunchRequested, instance, by_stranger, instance_id=instance, account_id=stranger, image_id=image,
            seen_sequence=published.sequence,
        )  # fmt: skip
        assert launched.type == "instance.launched", launched
        share = await self.ask(ShareRequested, image, by_vendor, image_id=image, account_id=stranger)
        assert codes(share) == ["OperationDenied.CommunityImage"], share
        unpublished = await self.ask(UnpublishRequested, image, by_vendor, image_id=image)
        assert unpublished.type == "image.unpublished", unpublished
        again = await self.ask(
            LaunchRequested, f"{instance}-b", by_stranger, instance_id=f"{instance}-b", account_id=stranger, image_id=image,
            seen_sequence=unpublished.sequence,
        )  # fmt: skip
        assert codes(again) == ["InvalidImageId.NotFound"], again
        reinit = await self.ask(ReinitRequested, instance, by_stranger, instance_id=instance, account_id=stranger)
        assert codes(reinit) == ["OperationDenied.ImageUnpublished"], reinit
        released = await self.ask(ReleaseRequested, instance, by_stranger, instance_id=instance, account_id=stranger)
        assert released.type == "instance.released", released

    async def publish(self, image: str, vendor: str) -> Heard:
        """Ask to publish `image` and return the answer."""
        data = {"image_id": image, "name": f"debian12-{image}", "description": "a small Debian for the crash suite"}
        return await self.ask(PublishRequested, image, ("account", vendor), **data)

    async def refusal(self, name: str) -> None:
        """Ask to publish an image whose fstab names a disk that is not there."""
        vendor, image = f"w-{name}", f"bad-{name}"
        await self.vendor(vendor)
        await self.image(image, vendor, self.broken)
        answer = await self.publish(image, vendor)
        assert answer.type == "publication.refused", answer
        assert codes(answer) == ["ImageCheck.Failed"], answer

    async def unknown(self, name: str) -> None:
        """Ask for an image that nobody registered: both services wait for its facts before they say so."""
        image, instance = f"none-{name}", f"j-{name}"
        share, launch = await asyncio.gather(
            self.ask(ShareRequested, image, ("account", "nobody"), image_id=image, account_id="friend"),
            self.ask(LaunchRequested, instance, ("account", "nobody"), instance_id=instance, account_id="nobody", image_id=image),
        )
        assert codes(share) == ["InvalidImageId.NotFound"], share
        assert codes(launch) == ["InvalidImageId.NotFound"], launch

    async def everything(self, name: str) -> None:
        """Do all of it at once."""
        await all_of(self.life(name), self.life(f"{name}-x"), self.refusal(name), self.unknown(name))


async def all_of(*works: Awaitable[None]) -> None:
    """Run `works` side by side; the first failure is raised once all have ended."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def codes(answer: Heard) -> list[str]:
    """Return the codes of a refusal."""
    return [problem["code"] for problem in answer.body["change"].get("problems", ())]


def _now() -> int:
    return time.time_ns() // 1000
