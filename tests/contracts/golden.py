"""The golden files: `python -m tests.contracts.golden` writes one for every example and removes those of no type."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.contracts.examples import EXAMPLES, Example

FOLDER: Final = Path(__file__).parents[2] / "contracts" / "golden"
WAY_OUT: Final = "if that is what you meant, run `python -m tests.contracts.golden`, look at the difference and commit it"


def name_of(example: Example) -> str:
    """Return the file's path within the folder."""
    event_type = example.event_type
    return f"{event_type.topic}/{event_type.type.removeprefix('org.imagecommons.')}.json"


def document(example: Example) -> dict[str, Any]:
    """Return what the example's file holds: the record's headers, key and value."""
    headers, value = example.encoded()
    return {
        "headers": {name: raw.decode() for name, raw in headers},
        "key": example.key,
        "value": json.loads(value),
    }


def stale(folder: Path = FOLDER) -> list[Path]:
    """Return the files that no type of the registry has."""
    wanted = {folder / name_of(example) for example in EXAMPLES}
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in wanted)


def write(folder: Path = FOLDER) -> None:
    """Make the folder what the examples say."""
    for path in stale(folder):
        path.unlink()
    for example in EXAMPLES:
        path = folder / name_of(example)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document(example), indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{len(EXAMPLES)} golden files written\n")
