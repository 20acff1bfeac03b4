"""The page: whole, in order, fetching nothing, and a stranger's text is text."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.report import Report
from shared.contracts.rules import KNOWN_ITEMS
from shared.reporting.page import content_security_policy, page
from shared.reporting.titles import TITLES
from shared.reporting.visible import visible
from tests.reporting.blocked import blocked
from tests.reporting.reports import HOSTILE, item, report

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Parsed(HTMLParser):
    """The page's tags with their attributes, its text by tag, and whether every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.style = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.text += data


def names_and_attributes(parsed: Parsed) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(sorted(attributes))) for tag, attributes in parsed.tags]


def full(text: str) -> Report:
    """A report in which every text that can come from a stranger is `text`."""
    short = text[:60]
    return report(
        item("GUESTOS.Fstab", "failed", value=[text], advice=text, evidence=[{"path": text, "line": 1, "text": text}]),
        item("GUESTOS.Dhcp", "warning", value=text, advice=text, evidence=[{"path": text}, {"text": text}]),
        item("GUESTOS.Platform", value=text),
        attributes={"platform": short, "os_version": short, "kernel_version": text},
        databases=[{"name": short, "version": short, "date": short}],
        policy={"name": short, "version": short},
        outcome="undetermined",
        blocking=["GUESTOS.Fstab"],
        reasons=[text],
        unjudged=[{"item": "SECURITY.Malware", "reason": text}],
        error=text,
        worker=short,
        confinement=[short],
        timings_s={short: 1.0},
        image={"digest": "sha256:" + "a" * 64, "size_bytes": 1, "format": short},
        packages=[
            {"type": "deb", "namespace": short, "distro": short, "packages": [{"name": text, "version": text}], "error": text}
        ],
    )


def test_a_strangers_text_is_text_wherever_it_stands() -> None:
    harmless, hostile = (Parsed(page(full(text), name=text)) for text in ("x", HOSTILE))
    assert names_and_attributes(hostile) == names_and_attributes(harmless)
    shown = visible(HOSTILE)
    assert shown.startswith("a\\u000ab\\u001b[2J<script>alert(1)</script>\\u202egnp.exe\\u2066")
    assert hostile.text.count(shown) >= 15
    assert "<script" not in page(full(HOSTILE), name=HOSTILE)


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_nothing_invisible_reaches_the_page_and_no_text_makes_a_tag(text: str) -> None:
    made = page(full(text), name=text)
    assert all(one.isprintable() or one == "\n" for one in made)
    assert names_and_attributes(Parsed(made)) == names_and_attributes(Parsed(page(full("x"), name="x")))


def test_names_that_are_no_unicode_are_shown() -> None:
    made = page(report(item("GUESTOS.Fstab")), name="disk\udcff.raw")
    assert made.encode("utf-8")
    assert "disk\\udcff.raw" in made


def test_nothing_is_fetched_and_nothing_runs() -> None:
    made = page(blocked(), name="x")
    parsed = Parsed(made)
    assert {tag for tag, _ in parsed.tags}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "base", "form", "svg"}
    )
    attributes = {name for _, found in parsed.tags for name in found}
    assert attributes.isdisjoint({"src", "href", "style", "srcset", "action", "background"})
    assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", made)


@pytest.mark.parametrize("framing", [False, True])
def test_the_pages_policy_allows_its_style_sheet_and_nothing_else(framing: bool) -> None:
    parsed = Parsed(page(blocked()))
    digest = base64.b64encode(hashlib.sha256(parsed.style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert content_security_policy(framing=framing) == policy + ("; frame-ancestors 'none'" if framing else "")
    (told,) = [found["content"] for tag, found in parsed.tags if found.get("http-equiv") == "Content-Security-Policy"]
    assert told == policy


def test_what_blocks_comes_first_and_everything_is_there() -> None:
    made = blocked()
    text = " ".join(Parsed(page(made, name="disk.qcow2")).text.split())
    order = ["Blocked", "disk.qcow2", "2 items keep this image", "Not judged for want of a database", "What blocks"]
    order += ["file systems mounted at start", "/etc/fstab:3", "known vulnerabilities", "1 known to be exploited"]
    order += ["What else was found", "let the interface take its address by DHCP", "The image", "Everything that was judged"]
    order += [
        "Databases",
        "debian-tracker",
        "3 days old when used",
        "sha256:9f86d081884c…",
        "Confinement",
        "empty network namespace",
        "Time",
        "4.21 s",
    ]
    at = 0
    for words in order:
        found = text.find(words, at)
        assert found >= 0, words
        at = found
    for one in made.items:
        assert one.name in text
        assert one.advice is None or one.advice in text
    for fact in (
        made.image.digest,
        made.report_id,
        "428.3 MB",
        "2.1 GB as a disk",
        "207 deb (debian-12)",
        "inspect 2",
        "version 2",
    ):
        assert fact in text


HEADLINES = [
    ({"outcome": "passed"}, "Passed", "Nothing keeps this image from being published."),
    ({"outcome": "blocked", "blocking": ["GUESTOS.Fstab"]}, "Blocked", "1 item keeps this image from being published."),
    ({"outcome": "undetermined", "reasons": ["r"]}, "Undetermined", "such an image is not published."),
    ({}, "Checked", "1 item failed; no policy has weighed that yet."),
    ({"complete": False, "error": "it died"}, "Incomplete", "The check did not come to its end"),
]


@pytest.mark.parametrize(("different", "title", "headline"), HEADLINES)
def test_the_banner_says_how_it_ended(different: dict[str, object], title: str, headline: str) -> None:
    made = Parsed(page(report(item("GUESTOS.Fstab", "failed"), **different)))
    text = " ".join(made.text.split())
    assert f"Image check {title} {headline}"[:20] in text
    assert headline in text
    assert (title == "Incomplete") == ("it died" in text)


def test_an_empty_report_makes_a_page_that_says_so() -> None:
    text = Parsed(page(report(attributes={}, confinement=[], timings_s=None))).text
    assert "None was used." in text
    assert "None: the program that read the image ran unconfined." in text


def test_a_digest_that_is_not_known_is_told() -> None:
    assert "not known: it was not read to its end" in Parsed(page(report(image={"size_bytes": 1}))).text


def test_every_item_has_a_title() -> None:
    assert set(TITLES) == KNOWN_ITEMS
