"""The committed JSON schema of a report is what the model says, and true of reports."""

import json

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from shared.contracts.generate import REPORT_FILE, rendered_schema
from tests.reporting.blocked import blocked
from tests.reporting.reports import item, report

WAY_OUT = "run `python -m shared.contracts.generate` and commit contracts/report.schema.json"
VALIDATOR = Draft202012Validator(json.loads(rendered_schema()), format_checker=FormatChecker())


def test_the_file_is_what_the_model_says() -> None:
    assert REPORT_FILE.read_text(encoding="utf-8") == rendered_schema(), f"{REPORT_FILE.name} differs: {WAY_OUT}"
    Draft202012Validator.check_schema(json.loads(rendered_schema()))


def test_reports_are_as_documented() -> None:
    VALIDATOR.validate(blocked().as_document())
    VALIDATOR.validate(report(item("GUESTOS.Fstab", "failed")).as_document())
    VALIDATOR.validate({**report().as_document(), "novelty": 1})


@pytest.mark.parametrize(
    "different",
    [{"outcome": "fine"}, {"version": 2}, {"report_id": ""}, {"items": [{"name": "GUESTOS.Fstab"}]}, {"image": {"digest": "x"}}],
)
def test_what_is_no_report_is_told(different: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**report().as_document(), **different})
