"""The tree: links, mounts, bounds, and a walk that ends."""

import pytest

from tests.inspector.memory import File, MemoryFileSystem, facts_of

from findings import Unreadable  # isort: skip
from tree import WALK_DEPTH_MAX, Tree  # isort: skip


def test_links_are_resolved_inside_the_image() -> None:
    tree = facts_of(
        {
            "usr/bin/sh": "shell",
            "bin": File(link="usr/bin"),
            "etc/a": File(link="../../../usr/bin/sh"),
            "etc/b": File(link="/bin/sh"),
            "etc/loop": File(link="loop"),
        }
    ).files()
    for path in ("/bin/sh", "/etc/a", "/etc/b", "/etc/../bin/./sh"):
        found = tree.find_file(path)
        assert found is not None
        assert (found.path, found.read(99)) == ("/usr/bin/sh", b"shell")
    link = tree.find("/etc/b", follow=False)
    assert link is not None
    assert link.path == "/etc/b"
    with pytest.raises(Unreadable, match="symbolic links"):
        tree.find("/etc/loop")


def test_what_is_mounted_hides_what_lies_beneath() -> None:
    tree = facts_of({"boot/old": "x", "etc/fstab": "y"}).files()
    tree.mount("/boot", MemoryFileSystem({"vmlinuz-1": "kernel"}))
    tree.mount("/var", MemoryFileSystem({"lib/x": "z"}))
    assert tree.names("/boot") == ["vmlinuz-1"]
    assert tree.names("/") == ["boot", "etc", "var"]
    assert tree.exists("/var/lib/x")
    assert sorted(found.path for found, _ in tree.walk()) == [
        *("/boot", "/boot/vmlinuz-1", "/etc", "/etc/fstab"),
        *("/var", "/var/lib", "/var/lib/x"),
    ]


def test_entries_are_bounded() -> None:
    tree = Tree(MemoryFileSystem({f"d/{number}": "" for number in range(50)}), entries_max=40)
    with pytest.raises(Unreadable, match="entries"):
        tree.names("/d")


def test_a_large_file_is_no_small_text() -> None:
    tree = facts_of({"etc/passwd": b"x" * 11}).files()
    with pytest.raises(Unreadable, match="10 bytes"):
        tree.read_text("/etc/passwd", bytes_max=10)
    assert tree.read_head("/etc/passwd", 4) == b"xxxx"
    assert tree.read_text("/etc") is None
    assert tree.read_head("/etc/nothing", 4) is None


def test_a_walk_sees_what_is_deep_and_says_so_where_it_is_too_deep() -> None:
    deep, too_deep = "/".join("d" * WALK_DEPTH_MAX) + "/file", "/".join("d" * (WALK_DEPTH_MAX + 1)) + "/file"
    assert f"/{deep}" in {found.path for found, _ in Tree(MemoryFileSystem({deep: b"x"})).walk()}
    with pytest.raises(Unreadable, match="deep"):
        list(Tree(MemoryFileSystem({too_deep: b"x"})).walk())
