"""The policy: read at start, its region's part decides, and every decision says by which words it was made."""

from pathlib import Path

import pytest

from services.publisher.app import build
from services.publisher.settings import PublisherSettings
from shared.database.pool import Database
from shared.policy import load_policy, shipped_policy
from shared.settings import CommonSettings, SettingsError
from tests.publisher.values import REGION
from tests.publisher.world import World

STRICT = f"""
policy: 1
name: strict
version: "7"
default:
  gate: {{items: {{GUESTOS.BootMode: [warning]}}}}
regions:
  {REGION}:
    gate: {{items: {{GUESTOS.KernelVersion: [warning], GUESTOS.BootMode: []}}}}
"""


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    file = tmp_path / "strict.yaml"
    file.write_text(STRICT)
    return file


@pytest.mark.parametrize(("item", "codes"), [("GUESTOS.KernelVersion", ["ImageCheck.Failed"]), ("GUESTOS.BootMode", [])])
async def test_the_regions_part_decides(database: Database, strict: Path, item: str, codes: list[str]) -> None:
    policy = load_policy(strict)
    world = await World(database, policy).begin()
    await world.vendor()
    (*_, answer) = await world.check_done(await world.check_begun(), levels={item: "warning"})
    assert answer.codes == codes
    assert answer.state["check"]["policy_version"] == policy.label
    assert policy.label.startswith("strict:7:")
    recorded = await database.pool.fetch("SELECT DISTINCT policy_version FROM publication_transitions")
    assert [row["policy_version"] for row in recorded] == [policy.label]
    if codes:
        (problem,) = answer.change["problems"]
        assert (problem["item"], problem["level"]) == (item, "warning")


async def test_every_end_of_a_publication_names_the_policy(vendor: World) -> None:
    await vendor.published()
    await vendor.ask("unpublish")
    await vendor.check_begun()
    await vendor.ask("unpublish")
    await vendor.check_begun()
    await vendor.deadline_passes()
    await vendor.timers_due()
    versions = await vendor.database.pool.fetch("SELECT state, policy_version FROM publication_transitions")
    assert {row["state"] for row in versions} >= {"checking", "published", "unpublished", "withdrawn", "check_failed"}
    assert {row["policy_version"] for row in versions} == {shipped_policy("gate").label}


def test_a_bad_policy_refuses_to_start(common_settings: CommonSettings, strict: Path) -> None:
    def settings(policy: str) -> PublisherSettings:
        return PublisherSettings.model_validate({**common_settings.model_dump(), "http_port": 0, "policy": policy})

    build(settings(str(strict)))
    build(settings("gate"))
    strict.write_text(STRICT.replace("BootMode: [warning]", "BootMod: [warning]"))
    with pytest.raises(SettingsError) as caught:
        build(settings(str(strict)))
    what = "no item is called 'GUESTOS.BootMod': is GUESTOS.BootMode meant?"
    assert str(caught.value).splitlines() == [
        "The policy is not usable; correct it and start again:",
        f"{strict}:6:18: {what}",
    ]
