"""Whether checks have to wait for a database: a policy that blocks for want of one must not cost a vendor a refusal."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.checker.adapters.databases.manifest import DatabaseError, Manifest
from services.checker.adapters.databases.store import DatabaseStore, age_days
from shared.contracts.gate import VULNERABILITIES
from shared.contracts.rules import declared_items
from shared.policy import Policy
from shared.telemetry import metrics

_AHEAD_DAYS_MAX: Final = 2
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """What some region's policy asks of the vulnerability databases: that they are there, and how old they may be at most."""

    age_days_max: int | None = None


def wanted_databases(policy: Policy, rules_version: str) -> Wanted | None:
    """Return what has to be there before a check is worth its while; None if nothing blocks for want of a database."""
    if VULNERABILITIES not in declared_items(rules_version, "linux"):
        return None
    gates = [policy.region(region).gate for region in (None, *policy.document.regions)]
    blocking = [
        gate for gate in gates if gate.missing_database_blocks and "unsupported" in gate.items.get(VULNERABILITIES, gate.others)
    ]
    ages = [gate.vulnerabilities.database_age_days_max for gate in blocking]
    return Wanted(min((age for age in ages if age is not None), default=None)) if blocking else None


def why_wait(store: DatabaseStore | None, wanted: Wanted | None) -> str | None:
    """Return in one sentence why checks have to wait; None if they need not. Reads the folder: what was added counts at once."""
    if wanted is None:
        return None
    if store is None:
        return "no folder of databases is named, and the policy blocks for want of one: set IMAGE_COMMONS_DATABASES"
    try:
        manifests = store.manifests("vulnerabilities")
        if not any(manifest.releases for manifest in manifests):
            return f"no vulnerability database in {store.folder}: add one with image-commons databases add"
        return next((why for one in manifests if (why := _old(one, wanted)) is not None), None)
    except (DatabaseError, OSError) as error:
        return f"the databases cannot be read: {error}"


def measure_ages(store: DatabaseStore | None) -> None:
    """Set the metric of each database's age; one that was removed is no longer told of."""
    metrics.DATABASE_AGE_SECONDS.clear()
    try:
        found = [] if store is None else store.found()
    except OSError:
        return
    for one in found:
        if one.manifest is not None:
            metrics.DATABASE_AGE_SECONDS.labels(one.name, one.manifest.purpose).set(max(0.0, _age_s(one.manifest)))


def _old(manifest: Manifest, wanted: Wanted) -> str | None:
    days = age_days(manifest)
    if wanted.age_days_max is not None and days > wanted.age_days_max:
        return f"the database {manifest.name} is {days} days old, {wanted.age_days_max} are allowed: add a newer one"
    return f"the database {manifest.name} is dated in the future" if days < -_AHEAD_DAYS_MAX else None


def _age_s(manifest: Manifest) -> float:
    moment = datetime.fromisoformat(manifest.date)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (datetime.now(UTC) - moment).total_seconds()
