"""The checker's queries: the very bytes whose digest is in the events, what was checked before, how far a check is."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

import services.checker.http
from shared.contracts.checks import CheckCancelled
from shared.database.pool import Database
from tests.checker.desk import Desk, job

DIGEST = "sha256:" + "a" * 64
ABSENT = ["r-9", "r-1%00", "x" * 65, "é", ".hidden", "r-1 ", "*"]


async def store(database: Database, report_id: str, digest: str = DIGEST, *, minutes: int = 0) -> None:
    """A report of a check of its own, so long ago."""
    await database.pool.execute(
        "INSERT INTO check_jobs (check_id, image_id, state) VALUES ('check-' || $1::text, 'img-1', 'completed')", report_id
    )
    await database.pool.execute(
        "INSERT INTO reports VALUES ($1, 'check-' || $1::text, $2, $3, $4, now() - $5::int * interval '1 minute')",
        report_id,
        digest,
        hashlib.sha256(report_id.encode()).hexdigest(),
        report_id.encode(),
        minutes,
    )


async def test_a_report_is_the_bytes_that_the_event_names(desk: Desk, http: AsyncClient, image: Path) -> None:
    told = (await desk.check(job(image=image))).data
    answer = await http.get(f"/reports/{told['report_id']}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert hashlib.sha256(answer.content).hexdigest() == told["report_sha256"]
    assert answer.json()["image"]["digest"] == told["image_digest"]
    assert answer.headers["etag"] == f'"{told["report_sha256"]}"'
    assert "immutable" in answer.headers["cache-control"]
    (listed,) = (await http.get("/reports", params={"digest": told["image_digest"]})).json()["reports"]
    assert (listed["report_id"], listed["check_id"], listed["sha256"]) == (told["report_id"], "check-1", told["report_sha256"])


async def test_who_has_the_report_is_not_sent_it_again(database: Database, http: AsyncClient) -> None:
    await store(database, "r-1")
    etag = (await http.get("/reports/r-1")).headers["etag"]
    for said in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = await http.get("/reports/r-1", headers={"if-none-match": said})
        assert (same.status_code, same.headers["etag"], same.content) == (304, etag, b"")
    other = await http.get("/reports/r-1", headers={"if-none-match": '"' + "0" * 64 + '"'})
    assert (other.status_code, other.content) == (200, b"r-1")


@pytest.mark.parametrize(("path", "code"), [("/reports", "InvalidReportId.NotFound"), ("/checks", "InvalidCheckId.NotFound")])
async def test_what_is_not_there(database: Database, http: AsyncClient, path: str, code: str) -> None:
    await store(database, "r-1")
    for name in ABSENT:
        answer = await http.get(f"{path}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, code), name
        assert answer.headers["content-type"] == "application/problem+json"


async def test_reports_of_the_same_bytes_newest_first(database: Database, http: AsyncClient) -> None:
    for number in range(1, 13):
        await store(database, f"r-{number}", minutes=number)
    await store(database, "r-other", "sha256:" + "b" * 64)

    async def listed(**asked: Any) -> list[str]:
        return [
            report["report_id"] for report in (await http.get("/reports", params={"digest": DIGEST, **asked})).json()["reports"]
        ]

    assert await listed() == [f"r-{number}" for number in range(1, 11)]
    assert await listed(limit=2) == ["r-1", "r-2"]
    assert await listed(limit=100) == [f"r-{number}" for number in range(1, 13)]
    assert (await http.get("/reports", params={"digest": "sha256:" + "c" * 64})).json() == {"reports": []}


@pytest.mark.parametrize(
    ("path", "given", "field"),
    [
        ("/reports", {}, "digest"),
        ("/reports", {"digest": "a" * 64}, "digest"),
        ("/reports", {"digest": DIGEST.upper()}, "digest"),
        ("/reports", {"digest": DIGEST + "\n"}, "digest"),
        ("/reports", {"digest": DIGEST, "limit": 0}, "limit"),
        ("/reports", {"digest": DIGEST, "limit": 101}, "limit"),
        ("/reports", f"digest={DIGEST}&digest={DIGEST}", "digest"),
        ("/reports/r-1", {"x": "1"}, "x"),
        ("/checks/check-r-1", {"x": "1"}, "x"),
        ("/queue", {"x": "1"}, "x"),
    ],
)
async def test_a_bad_query_names_its_parameter(
    database: Database, http: AsyncClient, path: str, given: dict[str, Any] | str, field: str
) -> None:
    await store(database, "r-1")
    answer = await http.get(path, params=given)
    assert answer.status_code == 400
    assert {problem["field"] for problem in answer.json()["problems"]} == {field}


async def test_how_far_a_check_is(desk: Desk, http: AsyncClient, images: Path) -> None:
    async def shown(check_id: str = "check-1") -> Any:
        return (await http.get(f"/checks/{check_id}")).json()

    await desk.ask(job(image=images / "missing"), CheckCancelled(check_id="check-2", image_id="img-2"))
    assert await shown() == {"check_id": "check-1", "image_id": "img-1", "state": "waiting", "claims": 0}
    assert await shown("check-2") == {"check_id": "check-2", "image_id": "img-2", "state": "cancelled", "claims": 0}
    claim = await desk.claim()
    await desk.workers._progress(desk.database, claim, ("files", 3, 7))
    running = {"check_id": "check-1", "image_id": "img-1", "state": "running", "claims": 1}
    assert await shown() == {**running, "phase": "files", "done": 3, "total": 7}
    await desk.lease_runs_out()
    assert await desk.turn()
    done = await shown()
    assert (done["state"], done["claims"]) == ("completed", 2)
    assert done["error"].endswith("No such file or directory")


async def test_the_queue_is_what_waits(desk: Desk, http: AsyncClient) -> None:
    assert (await http.get("/queue")).json() == {"waiting": 0, "oldest_age_s": 0}
    await desk.ask(job("check-1"), job("check-2"), job("check-3"))
    await desk.database.pool.execute("UPDATE check_jobs SET created_at = now() - interval '90 s' WHERE check_id = 'check-2'")
    assert (await desk.claim()).check_id == "check-2"
    await desk.database.pool.execute("UPDATE check_jobs SET created_at = now() - interval '60 s' WHERE check_id = 'check-3'")
    queue = (await http.get("/queue")).json()
    assert queue["waiting"] == 2
    assert 60 <= queue["oldest_age_s"] < 90


@pytest.mark.parametrize("path", ["/reports?digest=" + DIGEST, "/checks/check-1", "/reports/r-1", "/queue"])
async def test_a_database_that_does_not_answer(
    database: Database, http: AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(services.checker.http, "QUERY_TIMEOUT_S", 0.2)
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE check_jobs, reports")
        answer = await asyncio.wait_for(http.get(path), 5)
    assert (answer.status_code, answer.json()["code"]) == (503, "ServiceUnavailable")
