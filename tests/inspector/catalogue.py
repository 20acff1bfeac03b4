"""docs/check-items.md, made from the items and the tests that speak of them: `python -m tests.inspector.catalogue` writes it."""

import ast
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from items import ITEMS
from services.checker.adapters.inspector_process import PROGRAM
from tests.images.machines import MACHINES
from tests.images.plants import GRUB_ROUNDS, LAYOUT_PLANTS
from tests.images.roots import RECIPES
from tests.inspector.test_linux_distributions import JUDGED, SYSTEMS
from tests.inspector.test_windows_images import CLEAN, ROUNDS
from tests.inspector.windows_registry import RELEASES

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs" / "check-items.md"
LEVELS = ("failed", "warning", "unsupported")
_CODE = re.compile(r"[A-Z]\w+\.[A-Z]\w+$")
_HEAD = """# The check items

Made from the items by `python -m tests.inspector.catalogue`; a test compares. What each looks at is its own first sentence, its
codes and levels are those in its program (`…` stands for what is named at run time), its tests are those that speak of it. Which
item blocks is the gate policy's business. *Real disks* of Debian stable and oldstable are judged by `make test-images`, in both
directions where faults are planted. What nothing that can be had here holds is *synthetic*: the other distributions are roots
made from their documented layouts, and a Windows is a disk whose NTFS, tables and hives other tools made, filled with what the
items look at; no program of it runs. What was judged is at the end.
"""
_REAL = "tests/images/test_machines.py"
_DEBIAN = {"bookworm": "12", "trixie": "13"}
_SYNTHETIC = "tests/inspector/test_linux_distributions.py"
_WINDOWS = "tests/inspector/test_windows_images.py"
_PLANTED = Counter(one.item for plants in (*GRUB_ROUNDS.values(), *LAYOUT_PLANTS.values()) for one in plants)


@cache
def document() -> str:
    """Return the text of the document."""
    tests = list(_tests())
    everywhere = _constants(ast.parse(path.read_text()) for path in sorted(PROGRAM.rglob("*.py")))
    parts = [_HEAD]
    for family in ("linux", "windows"):
        parts += [f"\n## {family.capitalize()}\n\n| item | looks at | levels | codes | tests |\n|---|---|---|---|---|\n"]
        found = [item for item in ITEMS if family in item.FAMILIES]
        parts += [
            _row(sys.modules[item.judge.__module__], tests, everywhere) for item in sorted(found, key=lambda item: item.NAME)
        ]
    return "".join([*parts, *_systems()])


def _systems() -> Iterator[str]:
    """Yield the table of the systems that are judged whole."""
    yield "\n## Systems that are judged whole\n\n| system | made | tests |\n|---|---|---|\n"
    for name, machine in MACHINES.items():
        suite = RECIPES[machine.root].suite
        yield f"| Debian {_DEBIAN[suite]}, {name} | by its own packages, on a *real disk* | {_link(_REAL)} |\n"
    for name in (*SYSTEMS, "CentOS 6"):
        yield f"| {name} | *synthetic* | {_link(_SYNTHETIC)} |\n"
    for year in RELEASES:
        yield f"| Windows Server {year} | *synthetic*, on a whole disk | {_link(_WINDOWS)} |\n"


def _link(path: str) -> str:
    return f"[{Path(path).name}](../{path})"


def _row(item: ModuleType, tests: list[tuple[str, str, str]], everywhere: list[str]) -> str:
    """Return the item's row; `everywhere` are the constants of the whole program, since probes name codes too."""
    trees = list(_sources(item))
    short = item.NAME.partition(".")[2]
    texts = [
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    codes = {text for text in texts + everywhere if _CODE.match(text) and text.startswith(f"{short}.")}
    codes |= {
        code for tree in trees for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and (code := _joined(node, short))
    }
    levels = [level for level in LEVELS if level in texts] or ["ok"]
    about = " ".join((inspect.getdoc(item) or "").split("\n\n")[0].split()).replace("|", "\\|")
    name = item.__name__.rpartition(".")[2]
    speaks = re.compile(rf"\b{name}\b|[\"']{short}[\"'.]")
    by_file: dict[str, list[str]] = {}
    for path, test, text in tests:
        if speaks.search(text):
            by_file.setdefault(path, []).append(test)
    links = [f"[{Path(path).name}](../{path}): {', '.join(names)}" for path, names in sorted(by_file.items())]
    if "linux" in item.FAMILIES:
        planted = f", {_PLANTED[short]} planted" if _PLANTED[short] else ""
        links.append(f"*real disks* {_link(_REAL)}: {len(MACHINES)} clean{planted}")
        if short in JUDGED:
            links.append(f"*synthetic* {_link(_SYNTHETIC)}: {len(SYSTEMS)} clean")
    if "windows" in item.FAMILIES:
        rounds = sum(short in one.found for one in ROUNDS.values())
        planted = f", {rounds} planted by UEFI and BIOS" if rounds else ""
        links.append(f"*synthetic* whole disks {_link(_WINDOWS)}: {len(CLEAN)} clean{planted}")
    shown = " ".join(f"`{code}`" for code in sorted(codes))
    return f"| {item.NAME} | {about} | {', '.join(levels)} | {shown} | {'<br>'.join(links)} |\n"


def _constants(trees: Iterable[ast.AST]) -> list[str]:
    return [
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _joined(node: ast.JoinedStr, short: str) -> str | None:
    """Return the code that an f-string makes, `…` for what is known at run time only; None where it makes none."""
    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
    if len(parts) == 2 and parts[0] == "…" and re.match(r"\.[A-Z]\w+$", str(parts[1])):
        return f"{short}{parts[1]}"
    return f"{short}.…" if parts[:2] == [f"{short}.", "…"] and len(parts) == 2 else None


def _sources(item: ModuleType) -> Iterator[ast.AST]:
    """Yield the item's program, and the functions that it has from another item's."""
    tree = ast.parse(inspect.getsource(item))
    yield tree
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("items."):
            for name in node.names:
                yield ast.parse(inspect.getsource(getattr(sys.modules[str(node.module)], name.name)))


def _tests() -> Iterator[tuple[str, str, str]]:
    """Yield each test of the suite that concerns the inspector: its file, its name, its text with its decorators."""
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                yield str(path.relative_to(REPOSITORY)), node.name, "\n".join(lines[first - 1 : node.end_lineno])


if __name__ == "__main__":
    DOCUMENT.write_text(document())
