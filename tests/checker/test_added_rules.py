"""Rules that an operator adds: loaded beside those that ship, used by checks, refused where they cannot be used."""

from pathlib import Path

import pytest

from services.checker.adapters.databases.kinds import KINDS
from services.checker.adapters.databases.manifest import DatabaseError
from services.checker.adapters.databases.store import DatabaseStore
from services.checker.adapters.malware_search import malware_search

RULE = 'rule planted { meta: date = "2026-11-20" strings: $a = "planted by a test" condition: $a }'


def store(folder: Path, text: str = RULE) -> DatabaseStore:
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "mine.yar").write_text(text)
    found = DatabaseStore(folder / "databases")
    found.add(KINDS["yara"], folder / "rules", name="mine")
    return found


def test_added_rules_go_beside_the_ones_that_ship(tmp_path: Path) -> None:
    found = store(tmp_path)
    (manifest,) = found.manifests("malware")
    assert (manifest.date, manifest.entries, manifest.counts) == ("2026-11-20", 1, {"files": 1})
    assert found.verify(manifest) == []
    search = malware_search(found, None)
    assert [rules.name for rules in search.rules] == ["image-commons", "mine"]
    assert search.rules[1].database.digest == manifest.digest
    assert [rules.name for rules in malware_search(None, None).rules] == ["image-commons"]


def test_rules_that_cannot_be_used_are_not_left_out_in_silence(tmp_path: Path) -> None:
    found = store(tmp_path)
    (manifest,) = found.manifests("malware")
    found.index_file(manifest).write_bytes(b"of another version")
    with pytest.raises(DatabaseError, match="not a YARA-X compiled rules file") as refused:
        malware_search(found, None)
    assert "add them anew" in refused.value.advice


@pytest.mark.parametrize(("text", "why"), [("rule x { condition: y }", r"mine\.yar:1:21"), (None, "no \\*.yar or \\*.yara")])
def test_a_folder_that_cannot_be_added(tmp_path: Path, text: str | None, why: str) -> None:
    (tmp_path / "rules").mkdir()
    if text is not None:
        (tmp_path / "rules" / "mine.yar").write_text(text)
    found = DatabaseStore(tmp_path / "databases")
    with pytest.raises(DatabaseError, match=why):
        found.add(KINDS["yara"], tmp_path / "rules")
    assert found.found() == []
