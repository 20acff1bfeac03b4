"""The table of items is that of the items as they are."""

from tests.inspector.catalogue import DOCUMENT, document


def test_the_table_of_items_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m tests.inspector.catalogue"


def test_every_item_has_tests_that_speak_of_it() -> None:
    rows = [line for line in document().splitlines() if line.startswith(("| GUESTOS.", "| SECURITY."))]
    assert rows
    assert [row.split(" | ")[0] for row in rows if "](../tests/" not in row] == []
