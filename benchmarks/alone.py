"""`python -I -B alone.py facts | read FOLDER IMAGE [PART OF]`: one thing that the inspector in FOLDER does, alone in a process.

`facts` is the inspector as it is, confined, with the GUESTOS items only. `read` reads every regular file of the image through the
inspector's own file systems, or the share PART of OF, and does nothing else: what no check that looks into files can be below.
Imports nothing of the project.
"""

import importlib.util
import os
import stat
import sys
from pathlib import Path

_PIECE_BYTES = 1024 * 1024


def facts(folder: str, image: str) -> None:
    """Run the inspector's main with the items that are facts."""
    import items  # noqa: PLC0415 - of the inspector in the folder given

    items.ITEMS = tuple(one for one in items.ITEMS if one.NAME.startswith("GUESTOS."))
    spec = importlib.util.spec_from_file_location("inspector_main", f"{folder}/__main__.py")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(folder)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.argv = ["inspector", "--fd", str(os.open(image, os.O_RDONLY))]
    module.main()


def read(image: str, part: int, of: int) -> None:
    """Read the files whose number falls into the share; print how many bytes they have."""
    import facts as gathering  # noqa: PLC0415 - as above
    from containers import look  # noqa: PLC0415 - as above

    descriptor, total = os.open(image, os.O_RDONLY), 0
    tree = gathering.gather(descriptor, look(descriptor, None), lambda *_: None).files()
    seen = set()
    for number, (found, said) in enumerate(tree.walk()):
        key = id(found.files), found.files.identity(found.node)
        if number % of != part or said.kind != stat.S_IFREG or key in seen:
            continue
        seen.add(key)
        file = found.open()
        while piece := file.read(_PIECE_BYTES):
            total += len(piece)
    print(total)


if __name__ == "__main__":
    what, program, *words = sys.argv[1:]
    sys.path.insert(0, str(Path(program)))
    if what == "facts":
        facts(program, words[0])
    else:
        read(words[0], int(words[1]), int(words[2]))
