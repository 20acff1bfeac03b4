"""Poison of every kind is kept where an operator can read it, and delays nothing."""

import base64
import hashlib
import json

import pytest

from tests.messaging.reader import Reader
from tests.messaging.wire import Draft, account, fact, permit


def _value(**changed: object) -> bytes:
    return json.dumps({**account("a"), **changed}).encode()


_POISON: dict[str, Draft] = {
    "no value": fact("a").with_value(None),
    "empty value": fact("a").with_value(b""),
    "not JSON": fact("a").with_value(b"<account/>"),
    "not UTF-8": fact("a").with_value(b'{"account_id": "\xff"}'),
    "an array": fact("a").with_value(b"[1, 2]"),
    "wrong type": fact("a").with_value(_value(enterprise_verified={"x": 1})),
    "missing field": fact("a").with_value(b'{"account_id": "a"}'),
    "deep nesting": fact("a").with_value(b'{"x":' * 5000 + b"1" + b"}" * 5000),
    "nesting past the limit in an unknown field": fact("a").with_value(
        json.dumps({**account("a"), "more": json.loads("[" * 40 + "]" * 40)}).encode()
    ),
    "NUL in text": fact("a").with_value(_value(display_name="a\x00b")),
    "NUL in an id": fact("a").with_value(_value(account_id="a\x00")),
    "lone surrogate": fact("a").with_value(_value(display_name="x").replace(b'"x"', b'"\\ud800"')),
    "huge number": fact("a").with_value(_value(status=10**400)),
    "not a number": fact("a").with_value(_value(status="s").replace(b'"s"', b"NaN")),
    "oversize": fact("a").with_value(_value(more="x" * 70_000)),
    "unknown type": fact("a").with_header("ce_type", b"org.imagecommons.account.dreamt.v1"),
    "a type of another topic": Draft("account-facts", b"a", permit("a").headers, permit("a").value),
    "wrong key": fact("a").with_key(b"b"),
    "no key": fact("a").with_key(None),
    "a key that is no text": fact("a").with_key(b"\xff\xfe\x00"),
    "None header": fact("a").with_header("ce_type", None),
    "None header of a stranger": fact("a").with_header("x-trace", None).with_value(b"{"),
    "non-UTF-8 header": fact("a").with_header("ce_source", b"\xff\xfe"),
    "NUL in a header": fact("a").with_header("ce_source", b"/up\x00stream"),
    "missing id": fact("a").without_header("ce_id"),
    "missing type": fact("a").without_header("ce_type"),
    "missing source": fact("a").without_header("ce_source"),
    "missing specversion": fact("a").without_header("ce_specversion"),
    "other specversion": fact("a").with_header("ce_specversion", b"0.3"),
    "repeated id": Draft("account-facts", b"a", [*fact("a").headers, ("ce_id", b"another")], fact("a").value),
    "time that is none": fact("a").with_header("ce_time", b"yesterday"),
    "sequence that is none": fact("a").with_header("ce_sequence", b"1.5"),
    "sequence beyond bigint": fact("a").with_header("ce_sequence", b"9" * 30),
    "no sequence": fact("a").without_header("ce_sequence"),
    "subject of another": fact("a").with_header("ce_subject", b"b"),
    "no headers": Draft("account-facts", b"a", [], b"{}"),
    "headers that are wide in JSON": Draft("account-facts", b"a", [("\x01" * 256, b"\x01" * 512)] * 64, b"{"),
    "a thousand headers": Draft("account-facts", b"a", [("x" * 50, b"\xff" * 50)] * 1000, b"{"),
}


@pytest.mark.parametrize("kind", _POISON)
async def test_poison_is_kept_whole_and_told_of(facts: Reader, kind: str) -> None:
    poison = _POISON[kind]
    await facts.feed(fact("before"), poison, fact("after"))
    (row,) = await facts.dead()
    value = poison.value or b""
    assert (row["value"], row["key"], row["offset"]) == (poison.value, poison.key, 1)
    assert (row["topic"], row["consumer"]) == ("account-facts", "sample/account-facts")
    assert row["value_sha256"] == hashlib.sha256(value).hexdigest()
    assert row["value_size_bytes"] == len(value)
    assert row["reason_code"]
    assert row["reason_text"]
    assert len(json.loads(row["headers"])) == len(poison.headers)
    assert await facts.database.pool.fetchval("SELECT count(*) FROM accounts") == 2
    (told,) = await facts.outbox("dead-letters")
    announcement = json.loads(told["value"])
    assert told["key"] == "account-facts"
    assert announcement["reason_code"] == row["reason_code"]
    assert base64.b64decode(announcement["value_excerpt_base64"]) == value[:4096]
    assert await facts.stands() == 3


async def test_all_poison_at_once_delays_nothing(facts: Reader) -> None:
    await facts.feed(fact("before"), *_POISON.values(), fact("after"))
    assert len(await facts.dead()) == len(_POISON)
    assert len(await facts.journal()) == 2


async def test_the_same_poison_read_again_is_told_of_once(facts: Reader) -> None:
    nameless = fact("a").without_header("ce_id")
    await facts.feed(nameless)
    # An older offset restored: what has no identity is known by its place.
    await facts.database.pool.execute("UPDATE consumer_offsets SET next_offset = 0")
    facts.position = 0
    await facts.feed(nameless)
    assert len(await facts.dead()) == 1
    assert len(await facts.outbox("dead-letters")) == 1


async def test_poison_with_an_identity_is_in_the_inbox_as_dead(facts: Reader) -> None:
    poison = fact("a").with_value(b"{")
    await facts.feed(poison)
    await facts.feed(poison)
    assert await facts.database.pool.fetchval("SELECT count(*) FROM inbox WHERE status = 'x'") == 1
    assert len(await facts.dead()) == 1


async def test_unknown_fields_and_strange_headers_are_tolerated(facts: Reader) -> None:
    odd = fact("a").with_value(_value(novelty={"x": [1]})).with_header("x-stranger", None).with_header("x-bytes", b"\xff")
    await facts.feed(odd)
    assert await facts.dead() == []
    assert len(await facts.journal()) == 1
