"""The one answer to each request: what it says beside the instance's whole state."""

from services.launcher.adapters.tokens import Earlier, keep_answer, uses_token
from services.launcher.domain.copies import ImageCopy
from services.launcher.domain.decisions import Granted, InstanceRequest, Reason, Refused
from services.launcher.domain.instance import Instance
from shared.contracts.answers import Problem, Warned
from shared.contracts.envelope import Event
from shared.contracts.instance_events import (
    Charge,
    InstanceChange,
    InstanceEvent,
    InstanceRefused,
    InstanceRequestRehearsed,
    InstanceState,
    SystemDisk,
)
from shared.contracts.registry import REGISTRY, event_type_of
from shared.contracts.requests import LaunchRequested, ReinitRequested, ReleaseRequested, ReplaceOsRequested
from shared.database.transaction import Transaction


async def answer_granted(
    tx: Transaction,
    event: Event[InstanceRequest],
    answer: type[InstanceEvent],
    instance: Instance,
    *,
    message: str,
    decided: Granted | None = None,
    warnings: tuple[Reason, ...] = (),
) -> None:
    """Emit `answer` with the state of `instance` after it, naming the image as it was when `decided`."""
    warnings = (decided.warnings if decided is not None else ()) + warnings
    change = _change(event, decided.image if decided is not None else None, message=message, warnings=warnings)
    await _emit(tx, event, answer(state=state_of(instance), change=change))


def answer_repeated(tx: Transaction, event: Event[InstanceRequest], earlier: Earlier, instance: Instance | None) -> None:
    """Emit the answer that the first request with the token of `event` got, with the state of `instance` as it is now."""
    model = REGISTRY["instance-events", earlier.answered_type].model
    change = InstanceChange.model_validate_json(earlier.change)
    tx.emit(model(state=_state_or_none(instance), change=change), key=event.subject, correlation_id=event.id)


async def answer_unheard(tx: Transaction, event: Event[InstanceRequest], refused: Refused, instance: Instance | None) -> None:
    """Emit the refusal of a request that was not looked at: its token is not used by it."""
    if event.data.dry_run:
        await answer_rehearsed(tx, event, InstanceRefused, instance, refused)
        return
    answer = InstanceRefused(state=_state_or_none(instance), change=_refusal(event, refused, instance))
    tx.emit(answer, key=event.subject, correlation_id=event.id)


async def answer_refused(tx: Transaction, event: Event[InstanceRequest], refused: Refused, instance: Instance | None) -> None:
    """Emit the refusal, with the state of `instance`, which it leaves as it is (None: there is none)."""
    if event.data.dry_run:
        await answer_rehearsed(tx, event, InstanceRefused, instance, refused)
        return
    await _emit(tx, event, InstanceRefused(state=_state_or_none(instance), change=_refusal(event, refused, instance)))


async def answer_rehearsed(
    tx: Transaction,
    event: Event[InstanceRequest],
    would_be: type[InstanceEvent],
    instance: Instance | None,
    decided: Granted | Refused | None = None,
) -> None:
    """Emit what the request would have been answered, nothing having been done."""
    if isinstance(decided, Refused):
        change = _refusal(event, decided, instance)
    else:
        image = decided.image if decided is not None else None
        change = _change(event, image, message="rehearsed", warnings=decided.warnings if decided is not None else ())
    change = change.model_copy(update={"would_be": event_type_of(would_be).type})
    await _emit(tx, event, InstanceRequestRehearsed(state=_state_or_none(instance), change=change))


def state_of(instance: Instance) -> InstanceState:
    """Return the public state of `instance`."""
    disk, charge = instance.disk, instance.charge
    return InstanceState(
        instance_id=instance.instance_id,
        account_id=instance.account_id,
        region=instance.region,
        instance_type=instance.instance_type,
        system_disk=SystemDisk(
            disk_id=disk.disk_id,
            image_id=disk.image_id,
            image_digest=disk.image_digest,
            publication_id=disk.publication_id,
            image_sequence=disk.image_sequence,
            basis=disk.basis.value,
        ),
        charge=None
        if charge is None
        else Charge(
            product_id=charge.product_id,
            amount=format(charge.fee, "f"),
            currency=charge.currency,
            opened_at=charge.opened_at,
            closed_at=charge.closed_at,
        ),
        state=instance.state,
    )


def _state_or_none(instance: Instance | None) -> InstanceState | None:
    return None if instance is None else state_of(instance)


async def _emit(tx: Transaction, event: Event[InstanceRequest], answer: InstanceEvent) -> None:
    tx.emit(answer, key=event.subject, correlation_id=event.id)
    if uses_token(event):
        await keep_answer(tx, event, event_type_of(type(answer)).type, answer.change.model_dump_json(exclude_none=True))


def _refusal(event: Event[InstanceRequest], refused: Refused, instance: Instance | None) -> InstanceChange:
    problems = tuple(
        Problem(
            code=reason.code.value,
            advice=reason.advice,
            field=reason.field,
            value=reason.value or _met(event.data, reason, instance),
        )
        for reason in refused.reasons
    )
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    change = _change(event, refused.image, message=f"refused: {count} with {_named(event.data)}")
    # Asking again helps only if every single problem may pass by itself.
    retryable = all(reason.retryable for reason in refused.reasons)
    return change.model_copy(update={"problems": problems, "retryable": retryable, "way_out": refused.way_out})


def _named(request: InstanceRequest) -> str:
    """Return what was asked for; a family is left out, which can be any text."""
    match request:
        case LaunchRequested():
            return f"the launch of {request.instance_id}" + ("" if request.image_id is None else f" from {request.image_id}")
        case ReplaceOsRequested():
            return f"the OS replacement of {request.instance_id} by {request.image_id}"
        case ReinitRequested():
            return f"the re-initialisation of {request.instance_id}"
        case ReleaseRequested():
            return f"the release of {request.instance_id}"


def _met(request: InstanceRequest, reason: Reason, instance: Instance | None) -> str | None:
    """Return what the request says in the field that `reason` is about; a re-initialisation means the image of the disk."""
    if reason.field == "actor":
        return f"{request.actor.kind} {request.actor.id}"
    if reason.field == "image_id" and isinstance(request, ReinitRequested):
        return None if instance is None else instance.disk.image_id
    met: str | None = None if reason.field is None else getattr(request, reason.field, None)
    return met


def _change(
    event: Event[InstanceRequest], image: ImageCopy | None, *, message: str, warnings: tuple[Reason, ...] = ()
) -> InstanceChange:
    return InstanceChange(
        message=message,
        warnings=tuple(Warned(code=reason.code.value, message=reason.advice) for reason in warnings),
        actor=event.data.actor,
        image_id=None if image is None else image.image_id,
        publication_id=None if image is None else image.publication_id,
        image_sequence=None if image is None else image.sequence,
    )
