"""The fuzzer finds what is planted, and what it found before stays mended."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.checker.adapters.inspector_process import PROGRAM
from tests.fuzz.found import FOLDER, Finding, ask, judge, load, smaller
from tests.fuzz.mutant import Copy, Mutant, made
from tests.fuzz.mutator import Mutator
from tests.fuzz.repairs import REPAIRS
from tests.fuzz.seeds import FAULTS, SEEDS, Seed, build
from tests.fuzz.target import Bounds, Target
from tests.inspector.memory import facts_of

from containers import look  # isort: skip

assert facts_of
BOUNDS = Bounds(wall_clock_s=3, cpu_s=1, peak_bytes=200 * 10**6)
CASES = sorted(FOLDER.glob("*.json"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a seed's image, made once."""
    folder = tmp_path_factory.mktemp("seeds")

    def make(name: str) -> Path:
        path = folder / f"{name}.img"
        return path if path.exists() else build(name, folder)

    return make


@pytest.fixture(scope="session")
def inspector() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """What is closed when the test is over."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_what_was_found_stays_mended(images: Callable[[str], Path], inspector: Target, tmp_path: Path, case: Path) -> None:
    mutant = load(case).mutant
    with Copy(images(mutant.seed), tmp_path / "copy") as copy:
        assert ask(inspector, copy, mutant, Bounds()) is None


def test_a_seed_is_blocked_for_its_four_faults_whatever_holds_it(images: Callable[[str], Path], inspector: Target) -> None:
    for name in ("ext2", "vdi"):
        answer = inspector.ask(images(name), trace=True)
        assert answer.trouble(Bounds()) is None
        assert answer.gate.items == ("GUESTOS.Fstab", "GUESTOS.Grub", "SECURITY.Passwords", "SECURITY.Secrets")
        assert len(answer.reads) > 50
        truly = inspector.ask_truly(images(name))
        assert {(one.name, one.code) for one in truly.items} == {(one.name, one.code) for one in answer.inspection.items}


def test_a_windows_is_blocked_for_its_own(images: Callable[[str], Path], inspector: Target) -> None:
    answer = inspector.ask(images("windows-mbr"), trace=True)
    assert answer.trouble(Bounds()) is None
    assert answer.gate.items == ("GUESTOS.Disk", "GUESTOS.Hotfix", "GUESTOS.Update", "SECURITY.Secrets")


def test_a_copy_is_as_before_when_changes_are_undone(
    images: Callable[[str], Path], inspector: Target, held: ExitStack, tmp_path: Path
) -> None:
    original = images("ext2")
    whole, copy = original.read_bytes(), held.enter_context(Copy(original, tmp_path / "copy"))
    places = [(whole.index(fault), whole.index(fault) + len(fault)) for fault in FAULTS]
    copy.protect(places)
    reads = inspector.ask(original, trace=True).reads
    mutator = Mutator(SEEDS["ext2"], copy, reads, random.Random(5), [(copy, reads)])
    changed = set()
    for number in range(15):
        mutant = mutator.make()
        data = copy.path.read_bytes()
        changed.add(data)
        assert all(data[at:end] == whole[at:end] for at, end in places if end <= len(data))
        copy.undo()
        assert copy.path.read_bytes() == whole
        with made(copy, Mutant.from_document(mutant.as_document())) as image:
            assert image.read_bytes() == data
        mutator.learn(mutant, number)
    assert len(changed) > 10


def test_checksums_are_made_right(images: Callable[[str], Path], held: ExitStack, tmp_path: Path) -> None:
    """A change that a checksum gives away is read once the checksum is right again."""
    for name, at in (("gpt", 2 * 512 + 16), ("vhd", 512 + 24)):
        copy = held.enter_context(Copy(images(name), tmp_path / name))
        copy.write(at, b"\x01\x02")
        for repair in SEEDS[name].repairs:
            REPAIRS[repair](copy)
        assert len(copy.mutant(name).patches) > 1
        with copy.path.open("rb") as file:
            assert all("checksum" not in one.text for one in look(file.fileno(), None).troubles)


PLANTED = {
    "hang": "while True: pass",
    "death": "os.kill(os.getpid(), 9)",
    "memory": "kept = b'x' * 300_000_000",
    "lie": 'print(\'{"item": {"name": "GUESTOS.Nonsense", "level": "ok"}}\')',
    "pass": "print(open(sys.argv[0]).read())",
}
PROGRAM_TEXT = """
import json, os, sys
def main():
    sys.argv[0] = {passing!r}
    data = os.pread(int(sys.argv[2]), 2048, 0)
    if data[1100] == 0x77 and data[1200] == 0x78:
        {trouble}
        return
    sys.stdout.flush()
"""


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found_and_made_smaller(
    images: Callable[[str], Path], inspector: Target, held: ExitStack, tmp_path: Path, kind: str
) -> None:
    """Of five changes two bring the trouble out: those stay."""
    passing, folder = tmp_path / "passing", tmp_path / "inspector"
    items = inspector.ask(images("ext2")).inspection.items
    lines = ['{"item": ' + one.model_copy(update={"level": "ok", "code": None}).model_dump_json() + "}" for one in items]
    passing.write_text("\n".join([*lines, '{"end": {}}']))
    folder.mkdir()
    (folder / "__main__.py").write_text(PROGRAM_TEXT.format(passing=str(passing), trouble=PLANTED[kind]))
    target, copy = Target(folder, BOUNDS), held.enter_context(Copy(images("ext2"), tmp_path / "copy"))
    held.callback(target.close)
    mutant = Mutant("ext2", ((5, b"abc"), (1099, b"\x01\x77\x02\x03"), (1150, b"z" * 9), (1200, b"\x78\x78"), (9000, b"q")), None)
    found = ask(target, copy, mutant, BOUNDS)
    assert found is not None
    assert found.kind == kind
    takes_long = kind in {"hang", "memory", "lie"}
    small = found if takes_long else smaller(found, lambda one: ask(target, copy, one, BOUNDS))
    assert takes_long or small.mutant.patches == ((1100, b"\x77"), (1200, b"\x78"))
    saved = small.save(tmp_path / "found")
    assert load(saved) == small


def test_a_fault_that_others_still_read_is_overlooked(images: Callable[[str], Path], inspector: Target, tmp_path: Path) -> None:
    answer = inspector.ask(images("ext2"))
    items = answer.inspection.items
    for name in ("ext2", "fat16"):
        for failed in (one for one in items if one.level == "failed"):
            answer.inspection.items = [failed.model_copy(update={"level": "ok"})]
            found = judge(answer, Mutant(name), images(name), Bounds())
            assert found is not None
            assert (found.kind, found.detail.split()[0]) == ("overlooked", failed.name)
    changed = tmp_path / "changed"
    for fault in FAULTS:
        changed.write_bytes(images("ext2").read_bytes().replace(fault, b"#" * len(fault)))
        answer.inspection.items = [one.model_copy(update={"level": "ok"}) for one in items if one.level == "failed"]
        told = judge(answer, Mutant("ext2"), changed, Bounds())
        answer.inspection.items = [one for one in answer.inspection.items if told and not told.detail.startswith(one.name)]
        assert len(answer.inspection.items) == 3


def test_a_pass_is_one_only_while_the_faults_are_on_the_disk(
    images: Callable[[str], Path], inspector: Target, tmp_path: Path
) -> None:
    image = images("qcow2-zlib")
    answer = inspector.ask(image)
    assert judge(answer, Mutant("qcow2-zlib"), image, Bounds()) is None
    answer.gate = answer.gate.__class__("passed")
    assert judge(answer, Mutant("qcow2-zlib"), image, Bounds()) == Finding(
        "pass", "it passes, its parent did not", Mutant("qcow2-zlib")
    )
    changed = tmp_path / "raw"
    changed.write_bytes(images("ext2").read_bytes().replace(FAULTS[0], b"#" * len(FAULTS[0])))
    assert judge(answer, Mutant("ext2"), changed, Bounds()) is None
    changed.write_bytes(b"QFI\xfb")
    assert judge(answer, Mutant("qcow2-zlib"), changed, Bounds()) is not None
    assert isinstance(SEEDS["ext2"], Seed)
    assert PROGRAM.is_dir()
