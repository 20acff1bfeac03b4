"""Publisher: composition root."""

import asyncio
from datetime import timedelta

import uvloop
from pydantic import BaseModel

from services.publisher.handlers.check_results import CheckDecides, CheckSilent, CheckSpoke
from services.publisher.handlers.checks import CHECK_TIMER, CheckLimits
from services.publisher.handlers.facts import ImageStated, account_stated
from services.publisher.handlers.locks import lock_batch
from services.publisher.handlers.permit import permit
from services.publisher.handlers.publish import Publish
from services.publisher.handlers.share import share
from services.publisher.handlers.take_down import TakeDown, take_down_lift
from services.publisher.handlers.unpublish import Unpublish
from services.publisher.handlers.unshare import unshare
from services.publisher.http import routes
from services.publisher.settings import PublisherSettings
from shared.contracts.checks import CheckCompleted, CheckProgressed
from shared.contracts.facts import AccountStated, ImageChanged, ImageDeleted, ImageRegistered
from shared.contracts.requests import (
    PermitRequested,
    PublishRequested,
    ShareRequested,
    TakeDownLiftRequested,
    TakeDownRequested,
    UnpublishRequested,
    UnshareRequested,
)
from shared.messaging.handlers import EachHandler, EventHandler, each
from shared.messaging.service import Consume, Service
from shared.policy import Policy, PolicyError, load_policy
from shared.settings import SettingsError

Handlers = dict[type[BaseModel], EventHandler]


def build(settings: PublisherSettings) -> Service:
    """Wire publisher; raises `SettingsError` for a policy that cannot be used."""
    policy = _policy(settings)
    limits = CheckLimits(timedelta(seconds=settings.check_deadline_s), timedelta(seconds=settings.check_silence_s))
    service = Service(
        "publisher",
        settings,
        consumes=[Consume(topic, handler) for topic, handler in topic_handlers(limits, policy).items()],
        timers={CHECK_TIMER: CheckSilent(limits, policy)},
        routes=routes(lambda: service.database.pool),
        http_port=settings.http_port,
    )
    return service


def topic_handlers(limits: CheckLimits, policy: Policy) -> dict[str, EachHandler]:
    """Return what publisher does with each topic's events, by the topic's short name."""
    image_facts: Handlers = dict.fromkeys((ImageRegistered, ImageChanged, ImageDeleted), ImageStated(policy))
    requests: Handlers = {
        PublishRequested: Publish(limits, policy),
        UnpublishRequested: Unpublish(policy),
        ShareRequested: share,
        UnshareRequested: unshare,
    }
    decisions: Handlers = {PermitRequested: permit, TakeDownRequested: TakeDown(policy), TakeDownLiftRequested: take_down_lift}
    results: Handlers = {CheckProgressed: CheckSpoke(limits), CheckCompleted: CheckDecides(policy)}
    return {
        "image-facts": each(image_facts, before=lock_batch),
        "account-facts": each({AccountStated: account_stated}, before=lock_batch),
        "publication-requests": each(requests, before=lock_batch),
        "operator-requests": each(decisions, before=lock_batch),
        "check-results": each(results, before=lock_batch),
    }


def _policy(settings: PublisherSettings) -> Policy:
    try:
        return load_policy(settings.policy)
    except PolicyError as error:
        message = f"The policy is not usable; correct it and start again:\n{error}"
        raise SettingsError(message) from error


def main() -> None:
    """Run until SIGTERM; raises `SettingsError` if the environment does not describe a publisher that could run."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build(PublisherSettings.from_environment()).run())
