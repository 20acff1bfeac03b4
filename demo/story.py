"""The story: what the platform promises, told on a real disk image and checked step by step."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.answers import answer_document, problem_row, problems_of, text_of
from cli.building import by_account, by_operator, made
from cli.check_report import items_drawn
from cli.commands.image import file_content
from cli.commands.operating import DEFAULT_OPERATOR
from cli.commands.publishing import progress_line
from cli.http import query, segment
from demo.lines import account_line, image_line, request_line
from demo.narrator import NotAsTold
from shared.contracts.facts import AccountStated, ImageRegistered
from shared.contracts.report import Report
from shared.contracts.requests import (
    LaunchRequested,
    PermitRequested,
    PublishRequested,
    ReinitRequested,
    ReplaceOsRequested,
    Request,
    UnpublishRequested,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.client import Client
    from demo.cast import Cast
    from demo.narrator import Narrator
    from shared.contracts.envelope import Event

ANSWER_TIMEOUT_S = 30.0
CHECK_TIMEOUT_S = 600.0
SEEN_TIMEOUT_S = 15.0
SEEN_POLL_S = 0.05
TAG_PREFIX = "acs:ecs:image:"
BAD_NAME = "acs:my debian!"


class UserImageRefused(NotAsTold):
    """The user's own image does not pass, so there is nothing to tell on."""

    def __init__(self, shown: str, met: list[str]) -> None:
        super().__init__(
            f"{shown} was refused ({'; '.join(met)}), so the story ends here; `image-commons check {shown}` shows what to do"
        )


class Story:
    """Tells the story once.

    Args:
        narrator: says and compares.
        client: connected to the platform.
        cast: names and images of this telling.
    """

    def __init__(self, narrator: Narrator, client: Client, cast: Cast) -> None:
        self._say = narrator
        self._client = client
        self._cast = cast
        self._published: dict[str, Any] = {}
        self._sequence = 0

    async def tell(self) -> None:
        """Tell all chapters.

        Raises:
            NotAsTold: a step did not go as told.
            CommandError: the platform does not answer.
        """
        await self._register()
        await self._refused_twice_at_once()
        await self._permitted()
        await self._publish()
        await self._somebody_else_launches()
        await self._unpublish()
        await self._stranger_after_unpublish()
        await self._way_out()
        await self._hidden_backing_file()
        await self._broken_fstab()

    async def _register(self) -> None:
        cast = self._cast
        self._say.chapter(f"The vendor {cast.vendor} registers a custom image")
        await self._state_account(cast.vendor, enterprise=True)
        await self._state_account(cast.user, enterprise=False)
        await self._register_image(cast.image_id, cast.vendor, cast.image, "my-image")
        self._say.done(f"{cast.image.name}, {cast.image.stat().st_size / 2**20:.0f} MiB on disk")

    async def _refused_twice_at_once(self) -> None:
        cast = self._cast
        self._say.chapter("It asks to publish, without a permission and with a bad name")
        answer = await self._ask(PublishRequested, cast.image_id, self._as_vendor(name=BAD_NAME, description=cast.description))
        self._refused(answer, {"PublishPermission.NotGranted", "InvalidImageName.Malformed"})

    async def _permitted(self) -> None:
        cast = self._cast
        self._say.chapter("An operator grants the permission, on a ticket")
        asked = by_operator(DEFAULT_OPERATOR, cast.region, account_id=cast.vendor, ticket=cast.ticket)
        answer = await self._ask(PermitRequested, cast.vendor, asked)
        self._done(answer, "account.permitted")

    async def _publish(self) -> None:
        cast = self._cast
        self._say.chapter("It asks again: the image is checked, tagged and published")
        asked = self._as_vendor(name=cast.name, description=cast.description)
        answer = await self._ask(PublishRequested, cast.image_id, asked, timeout_s=CHECK_TIMEOUT_S, progress=self._progress())
        if problems_of(answer):
            self._say.refused(problems_of(answer))
            if not cast.facts:
                raise UserImageRefused(cast.shown(cast.image), sorted({problem_row(each)[1] for each in problems_of(answer)}))
        self._done(answer, "image.published")
        self._published, self._sequence = answer["state"], answer["sequence"]
        await self._report()
        self._tags()

    async def _report(self) -> None:
        check = self._published["check"]
        self._say.command(f"image-commons report {check['report_id']}")
        report = await self._query("checker", f"/reports/{segment(check['report_id'])}")
        self._say.show(items_drawn(Report.model_validate_json(json.dumps(report))))
        for database in report["databases"]:
            self._say.note(f"checked for {database['purpose']} against {database['name']} of {database['date']}")
        purposes = sorted({database["purpose"] for database in report["databases"]})
        self._say.expect(["malware", "vulnerabilities"], purposes, "what the report's databases are for")
        self._say.expect(check["image_digest"], report["image"]["digest"], "digest of the report and of what was published")
        for name, known in self._cast.facts.items():
            self._say.expect(known, report["attributes"].get(name), f"detected {name}, against what the build knows")

    def _tags(self) -> None:
        tags = self._published["tags"]
        shown = {name: tags.get(TAG_PREFIX + name) for name in ("osVersion", "kernelVersion", "architecture")}
        self._say.done("tags: " + ", ".join(f"{TAG_PREFIX}{name}={value}" for name, value in shown.items()))
        facts = self._cast.facts
        if facts:
            told = {
                "osVersion": facts["os_version"],
                "kernelVersion": facts["kernel_version"],
                "architecture": facts["architecture"],
            }
            self._say.expect(told, shown, "tags")
        self._say.expect([], [name for name, value in shown.items() if not value], "tags without a value")

    async def _somebody_else_launches(self) -> None:
        cast = self._cast
        self._say.chapter(f"Another account, {cast.user}, sees it and launches")
        self._say.command(f"image-commons images -a {cast.user}")
        image = await self._until_seen(visible=True)
        self._say.done(f"{image['image_id']}  {image['name']}  by {image['owner_account_id']}")
        answer = await self._launch(cast.instance_id, self._sequence)
        self._done(answer, "instance.launched")
        self._say.expect("community", answer["state"]["system_disk"]["basis"], "by what right it was launched")

    async def _unpublish(self) -> None:
        cast = self._cast
        self._say.chapter("The vendor unpublishes")
        answer = await self._ask(UnpublishRequested, cast.image_id, self._as_vendor())
        self._done(answer, "image.unpublished")
        self._say.expect(f"{cast.name} is unpublished", text_of(answer), "what the answer says")
        self._sequence = answer["sequence"]

    async def _stranger_after_unpublish(self) -> None:
        cast = self._cast
        self._say.chapter(f"{cast.user} no longer sees it, and cannot re-initialise")
        self._say.command(f"image-commons images -a {cast.user}")
        await self._until_seen(visible=False)
        self._say.done(f"{cast.image_id} is not in the list")
        self._refused(await self._launch(f"{cast.instance_id}-b", self._sequence), {"InvalidImageId.NotFound"})
        answer = await self._ask(ReinitRequested, cast.instance_id, self._as_user())
        self._refused(answer, {"OperationDenied.ImageUnpublished"})

    async def _way_out(self) -> None:
        cast = self._cast
        self._say.chapter("The way out that the refusal names: another image for the system disk")
        await self._register_image(cast.other_image_id, cast.user, cast.image, "my-own")
        answer = await self._ask(ReplaceOsRequested, cast.instance_id, self._as_user(image_id=cast.other_image_id))
        self._done(answer, "instance.os-replaced")
        self._say.expect(cast.other_image_id, answer["state"]["system_disk"]["image_id"], "image of the system disk")

    async def _hidden_backing_file(self) -> None:
        self._say.chapter("A qcow2 that reads from another file is refused")
        await self._refused_by_check(self._cast.backing_image_id, self._cast.with_backing_file, "SECURITY.DiskFormat")

    async def _broken_fstab(self) -> None:
        self._say.chapter("An image whose fstab names a disk that does not exist is refused")
        await self._refused_by_check(self._cast.fstab_image_id, self._cast.broken_fstab, "GUESTOS.Fstab")

    async def _refused_by_check(self, image_id: str, image: Path, item: str) -> None:
        cast = self._cast
        await self._register_image(image_id, cast.vendor, image, cast.name)
        asked = self._as_vendor(image_id=image_id, name=cast.name, description=cast.description)
        answer = await self._ask(PublishRequested, image_id, asked, timeout_s=CHECK_TIMEOUT_S)
        self._refused(answer, {"ImageCheck.Failed"})
        found = {problem.get("item"): problem for problem in problems_of(answer)}
        failed = sorted(map(str, found))
        self._say.expect([item], [name for name in found if name == item], f"{item} among the items that failed {failed}")
        self._say.expect([], [name for name in (item,) if not found[name].get("evidence")], "failed items without evidence")

    async def _state_account(self, account_id: str, *, enterprise: bool) -> None:
        fact = AccountStated(account_id=account_id, status="active", enterprise_verified=enterprise)
        self._say.command(account_line(fact))
        await self._client.state(fact, key=account_id)

    async def _register_image(self, image_id: str, owner: str, file: Path, name: str) -> None:
        cast = self._cast
        stated = {
            "image_id": image_id,
            "region": cast.region,
            "owner_account_id": owner,
            "name": name,
            "status": "Available",
            "encrypted": False,
            "created_at": datetime.now(UTC).isoformat(),
            **file_content(file),
            "location": cast.location(file),
        }
        fact = made(ImageRegistered, stated)
        self._say.command(image_line(fact, cast.shown(file), cast.images_root))
        await self._client.state(fact, key=image_id)

    async def _launch(self, instance_id: str, seen_sequence: int) -> dict[str, Any]:
        cast = self._cast
        asked = self._as_user(instance_id=instance_id, image_id=cast.image_id, seen_sequence=seen_sequence)
        return await self._ask(LaunchRequested, instance_id, asked)

    async def _ask(
        self,
        model: type[Request],
        key: str,
        data: dict[str, Any],
        *,
        timeout_s: float = ANSWER_TIMEOUT_S,
        progress: Callable[[Event[Any]], None] | None = None,
    ) -> dict[str, Any]:
        request = made(model, data)
        self._say.command(request_line(request))
        answer = await self._client.ask(request, key=key, timeout_s=timeout_s, progress=progress)
        return answer_document(answer)

    async def _query(self, service: str, path: str, **parameters: object) -> Any:
        return await asyncio.to_thread(query, self._client.endpoints, service, path, parameters)

    async def _until_seen(self, *, visible: bool) -> dict[str, Any]:
        """Ask the catalog until the user sees the image, or no longer does; a blink, as it reads events like everybody else."""
        cast, deadline = self._cast, time.monotonic() + SEEN_TIMEOUT_S
        while True:
            listed = await self._query("catalog", "/images", account_id=cast.user, region=cast.region)
            found = [image for image in listed["images"] if image["image_id"] == cast.image_id]
            if bool(found) == visible:
                return found[0] if found else {}
            if time.monotonic() > deadline:
                self._say.expect(visible, bool(found), f"{cast.user} sees {cast.image_id} in the catalog")
            await asyncio.sleep(SEEN_POLL_S)

    def _as_vendor(self, **data: Any) -> dict[str, Any]:
        return by_account(self._cast.vendor, self._cast.region, **{"image_id": self._cast.image_id, **data})

    def _as_user(self, **data: Any) -> dict[str, Any]:
        cast = self._cast
        return by_account(cast.user, cast.region, **{"instance_id": cast.instance_id, "account_id": cast.user, **data})

    def _progress(self) -> Callable[[Event[Any]], None]:
        said: set[str] = set()

        def show(event: Event[Any]) -> None:
            line = progress_line(event)
            if line and line not in said:
                said.add(line)
                self._say.note(line)

        return show

    def _done(self, answer: dict[str, Any], told: str) -> None:
        self._say.expect(told, thing(answer["type"]), "the answer" + (f" ({problems_of(answer)})" if problems_of(answer) else ""))
        self._say.done(text_of(answer))

    def _refused(self, answer: dict[str, Any], told: set[str]) -> None:
        problems = problems_of(answer)
        self._say.expect(told, {problem["code"] for problem in problems}, f"codes of the refusal ({thing(answer['type'])})")
        self._say.refused(problems)


def thing(event_type: str) -> str:
    """Return ``image.published`` of ``org.imagecommons.image.published.v1``."""
    return ".".join(event_type.split(".")[2:-1])
