"""Write `contracts/asyncapi.yaml` from the registry: `python -m shared.contracts.generate [--check]`.

For developers and tests: the YAML library is among their requirements, not among the services'.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from shared.contracts.asyncapi import document

FILE: Final = Path(__file__).parents[2] / "contracts" / "asyncapi.yaml"
_COMMAND: Final = "python -m shared.contracts.generate"
_HEAD: Final = f"# Generated from shared/contracts by `{_COMMAND}`; do not edit.\n"
_WIDTH: Final = 130


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - every value is written where it stands
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def rendered(content: dict[str, Any]) -> str:
    """Return the document as YAML, always the same for the same content."""
    return _HEAD + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def main(arguments: list[str] | None = None, *, file: Path = FILE) -> int:
    """Write the document, or with `--check` compare it; returns 1 if it differs, and says what to do."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is not what it should be")
    check = parser.parse_args(arguments).check
    wanted = rendered(document())
    if not check:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{file.name}: written\n")
        return 0
    if not file.exists() or file.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"{file.name} is not what shared/contracts says: run `{_COMMAND}` and commit the file\n")
        return 1
    sys.stdout.write(f"{file.name}: as shared/contracts says\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
