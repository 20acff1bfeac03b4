"""The bounds of the shapes keep events under the limit: the largest of what can be said is built and encoded."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from services.checker.domain.result import completed
from services.publisher.domain.model import Publication
from services.publisher.domain.problems import PROBLEMS_MAX, problem
from services.publisher.domain.verdict import tags_of, verdict_of
from shared.contracts.account_events import AccountRequestRefused, AccountState
from shared.contracts.answers import Evidence
from shared.contracts.checks import CheckRequested, ResultItem
from shared.contracts.codes import CODES, Code
from shared.contracts.envelope import decode, encode
from shared.contracts.image_events import ImageChange, ImageState, PublicationRefused
from shared.contracts.instance_events import InstanceRefused, InstanceState
from shared.contracts.registry import REGISTRY, EventType, event_type_of
from shared.contracts.report import Attributes, Report, VulnerabilityCounts
from shared.contracts.requests import ChangeNotes
from shared.contracts.rules import RULES_VERSION, declared_items
from shared.contracts.topics import EVENT_BYTES_MAX
from shared.policy import shipped_policy
from tests.contracts.examples import ACCOUNT, CHECK, IMAGE, INSTANCE, NOON
from tests.contracts.largest import ESCAPED, PENGUIN, largest

ORDINARY = {"message": PENGUIN * 512, "actor": {"kind": "operator", "id": "o" * 64}, "reason": PENGUIN * 256}
"""What an answer says beside the state when nothing is refused."""
BOUNDED = [each for each in REGISTRY.values() if each.place.kind in {"facts", "requests", "jobs"}]


POLICY = shipped_policy("gate")


def fits(data: BaseModel, subject: str) -> None:
    """Encode `data` and read it back."""
    sequence = 2**63 - 1
    headers, value = encode(data, id="1", source="/s", subject=subject, time=NOON, sequence=sequence)
    assert decode(event_type_of(type(data)).topic, subject.encode(), headers, value, 0).data == data
    assert len(value) <= EVENT_BYTES_MAX


def with_key(model: type[BaseModel], character: str, **key: str) -> dict[str, Any]:
    return {**largest(model, character), **key}


@pytest.mark.parametrize("character", [PENGUIN, ESCAPED], ids=["4 bytes a character", "escapes"])
@pytest.mark.parametrize("event_type", BOUNDED, ids=lambda each: each.name)
def test_the_largest_fact_request_or_job_fits(event_type: EventType, character: str) -> None:
    assert event_type.key_field is not None
    body = with_key(event_type.model, character, **{event_type.key_field: "k" * 64})
    fits(event_type.model.model_validate_json(json.dumps(body)), "k" * 64)


def test_the_largest_image_state_fits() -> None:
    state = with_key(ImageState, PENGUIN, image_id=IMAGE)
    assert (len(state["shared_with"]), len(state["tags"])) == (50, 20)
    for event_type in REGISTRY.values():
        if event_type.topic == "image-events":
            fits(event_type.model.model_validate_json(json.dumps({"state": state, "change": ORDINARY})), IMAGE)


def test_the_largest_account_state_fits() -> None:
    body = {"state": with_key(AccountState, ESCAPED, account_id=ACCOUNT), "change": ORDINARY}
    fits(AccountRequestRefused.model_validate_json(json.dumps(body)), ACCOUNT)


def test_the_largest_instance_state_fits() -> None:
    body = {"state": with_key(InstanceState, ESCAPED, instance_id=INSTANCE), "change": ORDINARY}
    fits(InstanceRefused.model_validate_json(json.dumps(body)), INSTANCE)


def largest_image_held() -> ImageState:
    """Return the largest state that publisher can come to hold.

    Facts bring any text; the headings of change notes have passed their rule, and the tags are those of a check.
    """
    state = with_key(ImageState, ESCAPED, image_id=IMAGE)
    state["change_notes"] = largest(ChangeNotes, PENGUIN)
    state["tags"] = tags_of(Attributes(os_version=PENGUIN * 64, kernel_version=PENGUIN * 128, architecture="x86_64"))
    return ImageState.model_validate_json(json.dumps(state))


def test_the_largest_refusal_of_the_rules_fits() -> None:
    texts = ["name", "description", *(f"change_notes.{heading}" for heading in ChangeNotes.model_fields)]
    problems = [problem(Code.DESCRIPTION_MALFORMED, field=field, value=ESCAPED * 4096, advice="a" * 512) for field in texts]
    problems += [problem(code, field="permission", value="v" * 64) for code in CODES]
    problems = problems[:PROBLEMS_MAX]
    change = ImageChange(message=f"refused: {len(problems)} problems", problems=tuple(problems))
    fits(PublicationRefused(state=largest_image_held(), change=change), IMAGE)


def largest_result(character: str) -> BaseModel:
    """Return what the checker says of the largest report that the rules allow."""
    counts = dict.fromkeys(VulnerabilityCounts.model_fields, 2**31 - 1)
    evidence = {"path": character * 1024, "line": 2**31 - 1, "text": character * 1024, "sha256": "0" * 64}
    report = Report.model_validate_json(
        json.dumps(
            {
                "report_id": "r" * 64,
                "image": {"digest": "sha256:" + "0" * 64, "size_bytes": 2**62},
                "rules_version": RULES_VERSION,
                "started_at": "2026-01-01T00:00:00Z",
                "finished_at": "2026-01-01T00:00:00Z",
                "items": [
                    {
                        "name": name,
                        "level": "unsupported",
                        "code": "c" * 64,
                        "evidence": [evidence] * 64,
                        "vulnerabilities": counts,
                    }
                    for name in declared_items("2", "linux")
                ],
                "complete": False,
                "error": character * 1024,
                "attributes": {"platform": character * 64, "os_version": character * 64, "kernel_version": character * 128},
            }
        )
    )
    request = CheckRequested.model_validate_json(json.dumps(with_key(CheckRequested, character, image_id=IMAGE, check_id=CHECK)))
    return completed(request, report, "0" * 64)


def test_the_largest_result_of_a_check_fits() -> None:
    fits(largest_result(PENGUIN), IMAGE)


@pytest.mark.parametrize("character", [PENGUIN, ESCAPED])
def test_the_largest_refusal_of_a_check_fits(character: str) -> None:
    evidence = tuple(Evidence(path=character * 256, line=2**31 - 1, text=character * 256, sha256="0" * 64) for _ in range(3))
    items = [ResultItem(name=name, level="failed", code="c" * 64, evidence=evidence) for name in declared_items("2", "linux")]
    result = largest_result(PENGUIN).model_copy(update={"items": tuple(items), "complete": True, "error": None})
    publication = Publication(
        publication_id="p", image_id=IMAGE, region="eu-1", account_id="a", state="checking", since=NOON, name="n", request_id="r",
        requested_at=NOON, content_version=result.content_version,
    )  # fmt: skip
    verdict = verdict_of(result, publication, now=NOON, policy=POLICY.region().gate, policy_version=POLICY.label)
    assert verdict.problems[0].evidence
    change = ImageChange(message=f"refused: {len(verdict.problems)} problems", problems=verdict.problems)
    fits(PublicationRefused(state=largest_image_held(), change=change), IMAGE)
