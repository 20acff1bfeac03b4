"""A stored report as a page and as a bill of materials."""

import hashlib

from httpx import AsyncClient

from shared.contracts.report import Report
from shared.database.pool import Database
from shared.reporting.bill_of_materials import bill_of_materials
from shared.reporting.page import content_security_policy, page
from tests.reporting.blocked import blocked
from tests.reporting.reports import item, report


async def store(database: Database, stored: Report) -> str:
    """Store a report as the workers do; returns its address."""
    document = stored.model_dump_json(exclude_none=True).encode()
    await database.pool.execute("INSERT INTO check_jobs (check_id, image_id, state) VALUES ('check-1', 'img-1', 'completed')")
    await database.pool.execute(
        "INSERT INTO reports (report_id, check_id, image_digest, sha256, document) VALUES ($1, 'check-1', $2, $3, $4)",
        stored.report_id,
        stored.image.digest,
        hashlib.sha256(document).hexdigest(),
        document,
    )
    return f"/reports/{stored.report_id}"


async def test_a_report_as_a_page(database: Database, http: AsyncClient) -> None:
    stored = blocked()
    answer = await http.get(await store(database, stored) + ".html")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text == page(stored)
    assert answer.headers["content-security-policy"] == content_security_policy(framing=True)
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_reports_packages_as_a_bill_of_materials(database: Database, http: AsyncClient) -> None:
    stored = blocked()
    answer = await http.get(await store(database, stored) + ".cdx.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/vnd.cyclonedx+json; version=1.6")
    assert answer.text == bill_of_materials(stored, name="sha256:" + "a" * 64)


async def test_where_no_packages_were_read_there_is_no_bill(database: Database, http: AsyncClient) -> None:
    address = await store(database, report(item("GUESTOS.Fstab")))
    answer = await http.get(address + ".cdx.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "BillOfMaterials.NotFound")


async def test_what_is_not_there_is_no_page(http: AsyncClient) -> None:
    for name in ("r-9", "é", "x" * 65):
        for ending in (".html", ".cdx.json"):
            answer = await http.get(f"/reports/{name}{ending}")
            assert (answer.status_code, answer.json()["code"]) == (404, "InvalidReportId.NotFound"), name
