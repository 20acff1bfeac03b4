"""docs/sources.md says what is so: its examples are settings, its variables and defaults are those of the checker."""

import json
import re
from pathlib import Path

from services.checker.adapters.sources.answers import USUAL
from services.checker.adapters.sources.configured import HttpsSources, S3Store
from services.checker.settings import CheckerSettings

TEXT = (Path(__file__).resolve().parents[2] / "docs/sources.md").read_text()
STORES, POLICY, HTTPS = (json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))


def test_the_examples_are_settings() -> None:
    (store,) = map(S3Store.model_validate, STORES)
    https = HttpsSources.model_validate(HTTPS)
    assert https.allows("eu.mirror.example.org", 443)
    assert not https.allows("mirror.example.org", 443)
    assert https.allows("images.example.net", 8443)
    assert not https.allows("images.example.net", 443)
    # The policy allows what the store's entry names, and only to read.
    resources = {resource.removeprefix("arn:aws:s3:::") for resource in POLICY["Statement"][0]["Resource"]}
    assert resources == {f"{bucket.rstrip('/')}/*" for bucket in store.buckets}
    assert POLICY["Statement"][0]["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]


def test_every_key_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", "\n".join(line for line in TEXT.splitlines() if line.startswith("| "))))
    assert {*S3Store.model_fields, *HttpsSources.model_fields} - told <= {"allow_http"}


def test_variables_and_figures() -> None:
    fields = {name.removeprefix("IMAGE_COMMONS_").lower() for name in re.findall(r"IMAGE_COMMONS_\w+", TEXT)}
    assert fields <= set(CheckerSettings.model_fields)
    assert {name for name in CheckerSettings.model_fields if name.startswith("spool")} <= fields
    defaults = {name: CheckerSettings.model_fields[name].default for name in CheckerSettings.model_fields}
    assert (defaults["spool_image_bytes_max"], defaults["spool_bytes_max"], defaults["check_timeout_s"]) == (
        64 << 30,
        128 << 30,
        600,
    )
    assert (USUAL.part_bytes, USUAL.connections, USUAL.tries, USUAL.pause_max_s) == (16 << 20, 6, 5, 30)
    assert (USUAL.least_bytes, USUAL.stalled_after_s) == (64 << 10, 20)
