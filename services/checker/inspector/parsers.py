# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parsers' modules, held as bytecode: each is run when an image first needs it, when nothing may be opened any more.

Running all of them takes a quarter of the time that all the facts may take; which ones an image needs shows only once its disk is
read, and a disk of compressed clusters is not to be read before confinement. So before it their files are read, which is cheap,
and later one is run.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGES = ("dissect.cstruct", "dissect.xfs", "dissect.btrfs", "dissect.ntfs")
OWN = ("filesystems.btrfs_parser",)
SOURCES = ("windows",)
"""Kept as they are written, and compiled when an image needs them: where no bytecode lies beside them, compiling takes 20 ms."""
BEFORE = (
    *("__future__", "atexit", "bisect", "ctypes", "datetime", "logging", "ntpath", "pathlib", "pprint", "string", "textwrap"),
    *("threading", "traceback", "urllib.parse", "uuid", "encodings.utf_16_le", "encodings.utf_16_be", "encodings.latin_1"),
    *("backports.zstd", "isal.isal_zlib"),
    *("dissect.util.stream", "dissect.util.ts", "dissect.util.sid", "dissect.util.compression.lzo", "dissect.util.hash.crc32c"),
)
"""What the parsers import of others, and codecs found by name: run before confinement, since some are shared objects."""


class _AtHand(MetaPathFinder, Loader):
    """Finds and runs the modules whose code it holds."""

    def __init__(self) -> None:
        self._code: dict[str, tuple[CodeType | bytes, bool]] = {}

    def hold(self, name: str, code: CodeType | bytes, *, is_package: bool) -> None:
        """Keep a module's code, or its source."""
        self._code[name] = code, is_package

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module that is held."""
        del path, target
        held = self._code.get(fullname)
        return None if held is None else spec_from_loader(fullname, self, is_package=held[1])

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to Python."""
        del spec
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        held = self._code.pop(module.__name__)[0]
        code = held if isinstance(held, CodeType) else compile(held, f"<{module.__name__}>", "exec")
        exec(code, module.__dict__)  # noqa: S102 - what an import statement does


def keep_at_hand() -> None:
    """Make every parser importable without a file being opened; call it before confinement."""
    for name in BEFORE:
        import_module(name)
    finder = _AtHand()
    for name in (*PACKAGES, *OWN):
        for found in _modules(name):
            if found.name not in sys.modules and isinstance(found.loader, SourceFileLoader):
                code = found.loader.get_code(found.name)
                if code is not None:
                    finder.hold(found.name, code, is_package=found.submodule_search_locations is not None)
    for name in SOURCES:
        for found in _modules(name):
            if found.name not in sys.modules and isinstance(found.loader, SourceFileLoader) and found.origin is not None:
                source = found.loader.get_data(found.origin)
                finder.hold(found.name, source, is_package=found.submodule_search_locations is not None)
    sys.meta_path.insert(0, finder)


def _modules(name: str) -> Iterator[ModuleSpec]:
    """Yield the specs of a module and of all beneath it, without running any."""
    parent, spec = "", None
    for part in name.split("."):
        where = None if spec is None else spec.submodule_search_locations
        parent = f"{parent}.{part}" if parent else part
        spec = PathFinder.find_spec(parent, where)
        if spec is None:
            raise ModuleNotFoundError(name)
    yield from _beneath(spec)


def _beneath(spec: ModuleSpec | None) -> Iterator[ModuleSpec]:
    if spec is None:
        return
    yield spec
    for folder in spec.submodule_search_locations or ():
        for path in sorted(Path(folder).iterdir()):
            if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists():
                yield from _beneath(PathFinder.find_spec(f"{spec.name}.{path.stem}", [folder]))
