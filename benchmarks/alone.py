"""`python -I -B alone.py facts | read | dissect FOLDER IMAGE [PART OF]`: one thing, alone in a process.

`facts` is the inspector in FOLDER as it is, confined, with the GUESTOS items only. `read` reads every regular file of the image
through the inspector's own file systems, or the share PART of OF, and does nothing else: no check that looks into files can be
below that. `dissect` does the same of an ext4 with dissect.extfs, whose speed is what our goals were set by. Imports nothing of
the project.
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


def dissect(image: str, part: int, of: int) -> None:
    """Do as `read` does, by another reader; print how many bytes the files have."""
    from dissect.extfs.extfs import ExtFS  # noqa: PLC0415 - only here

    import facts as gathering  # noqa: PLC0415 - of the inspector: partitions and containers are read by it in both
    from containers import look  # noqa: PLC0415 - as above
    from part import Part  # noqa: PLC0415 - as above

    descriptor, total, number = os.open(image, os.O_RDONLY), 0, 0
    facts = gathering.gather(descriptor, look(descriptor, None), lambda *_: None)
    place = facts.root.partition
    seen, todo = set(), [ExtFS(Part(facts.disk, place.offset_bytes, place.size_bytes)).root]
    while todo:
        for node in todo.pop().iterdir():
            if node.filename in {".", ".."} or node.inum in seen:
                continue
            seen.add(node.inum)
            if node.filetype == stat.S_IFDIR:
                todo.append(node)
            elif node.filetype == stat.S_IFREG:
                number += 1
                if number % of != part:
                    continue
                file = node.open()
                while piece := file.read(_PIECE_BYTES):
                    total += len(piece)
    print(total)


if __name__ == "__main__":
    what, program, *words = sys.argv[1:]
    sys.path.insert(0, str(Path(program)))
    if what == "facts":
        facts(program, words[0])
    else:
        {"read": read, "dissect": dissect}[what](words[0], int(words[1]), int(words[2]))
