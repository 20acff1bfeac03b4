"""Driving a launcher: its three readers, requests in, answers out of the outbox."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from uuid_utils import uuid7

from services.launcher.handlers.copies import apply_account_events, apply_image_events
from services.launcher.handlers.requests import instance_requests
from shared.contracts.account_events import AccountChange, AccountKnown, AccountState
from shared.contracts.image_events import ImageState
from shared.contracts.registry import REGISTRY
from shared.contracts.requests import (
    LaunchRequested,
    ReinitRequested,
    ReleaseRequested,
    ReplaceOsRequested,
)
from shared.database.pool import Database
from shared.messaging.records import Record
from tests.catalog.services import Reader
from tests.catalog.states import FRIEND, OWNER, REGION, STRANGER, Log

ACCOUNTS = {OWNER: "active", FRIEND: "active", STRANGER: "active", "gone": "closed", "bad": "blocked"}
REQUESTS: dict[str, type[BaseModel]] = {
    "launch": LaunchRequested,
    "reinit": ReinitRequested,
    "replace-os": ReplaceOsRequested,
    "release": ReleaseRequested,
}


@dataclass(frozen=True)
class Answer:
    """An answer as it waits to be sent."""

    id: int
    type: str
    key: str
    sequence: int
    request_id: str | None
    state: dict[str, Any] | None
    change: dict[str, Any]

    @property
    def codes(self) -> list[str]:
        return [problem["code"] for problem in self.change.get("problems", ())]

    @property
    def what(self) -> str:
        """Type and codes in one line."""
        return " ".join([self.type, *self.codes])


class Desk:
    """A launcher without a broker."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.images = Reader(database, "image-events", apply_image_events)
        self.accounts = Reader(database, "account-events", apply_account_events)
        self.requests = Reader(database, "instance-requests", instance_requests)
        self.image_log = Log("image-events")
        self.account_log = Log("account-events")
        self.request_log = Log("instance-requests", "/upstream/compute")
        self._seen = 0
        self._sequences: dict[str, int] = {}

    async def know_accounts(self, accounts: dict[str, str] | None = None) -> None:
        await self.accounts.feed(*(self.account(name, status) for name, status in (accounts or ACCOUNTS).items()))

    async def know(self, *states: ImageState, sequence: int | None = None) -> None:
        """Image events, each newer than the last of its key."""
        for state in states:
            number = sequence or self._sequences.get(state.image_id, 0) + 1
            self._sequences[state.image_id] = number
            await self.images.feed(self.image_log.image(state, sequence=number))

    def account(self, name: str, status: str = "active", *, sequence: int = 1) -> Record:
        state = AccountState.model_validate({"account_id": name, "status": status, "enterprise_verified": False}, strict=False)
        return self.account_log.record(AccountKnown(state=state, change=AccountChange()), name, sequence=sequence)

    def request(
        self,
        what: str,
        instance_id: str = "i-1",
        account_id: str = STRANGER,
        *,
        request_id: str | None = None,
        age: timedelta = timedelta(0),
        **given: Any,
    ) -> Record:
        """The next record, of a request by an account for itself unless `actor` says otherwise."""
        data = {
            "actor": {"kind": "account", "id": account_id},
            "region": REGION,
            "instance_id": instance_id,
            "account_id": account_id,
            **given,
        }
        body = REQUESTS[what].model_validate(data, strict=False)
        return self.request_log.record(body, instance_id, id=request_id or str(uuid7()), age=age)

    async def ask(self, what: str, *names: str, **given: Any) -> Answer:
        """Send a request, wait for nothing, and return its one answer."""
        await self.requests.feed(self.request(what, *names, **given))
        (answer,) = await self.answers()
        return answer

    async def answers(self) -> list[Answer]:
        """The answers since the last call."""
        topic = f"{self.database.topic_prefix}instance-events"
        rows = await self.database.pool.fetch("SELECT * FROM outbox WHERE id > $1 AND topic = $2 ORDER BY id", self._seen, topic)
        found = []
        for row in rows:
            headers, value = json.loads(row["headers"]), json.loads(row["value"])
            name = headers["ce_type"].removeprefix("org.imagecommons.").removesuffix(".v1")
            assert ("instance-events", headers["ce_type"]) in REGISTRY
            found.append(
                Answer(
                    row["id"],
                    name,
                    row["key"],
                    int(headers["ce_sequence"]),
                    headers.get("ce_correlationid"),
                    value.get("state"),
                    value["change"],
                )
            )
            self._seen = row["id"]
        return found

    async def known(self) -> list[Answer]:
        """The states told by republish since the last call; answers are left out."""
        return [answer for answer in await self.answers() if answer.type == "instance.known" and answer.request_id is None]

    async def parked(self) -> list[str]:
        """Keys of the parked requests, in order."""
        return [row["key"] for row in await self.database.pool.fetch("SELECT key FROM parked_requests ORDER BY id")]

    async def instances(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.database.pool.fetch("SELECT * FROM instances ORDER BY instance_id")]

    async def charges(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.database.pool.fetch("SELECT * FROM charges ORDER BY opened_at, charge_id")]
