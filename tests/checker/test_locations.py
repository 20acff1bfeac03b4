"""Locations: a regular file beneath a root is opened, all else is refused at once, with or without openat2."""

import ctypes
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.checker.adapters import locations
from services.checker.adapters.locations import LocationRefused, open_location

# A FIFO that is opened without care blocks for ever.
pytestmark = pytest.mark.timeout(20)
CONTENT = b"the image"
SECRET = b"not for you"
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image root with an image in a folder; beside it what is none of the checker's business."""
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "one.img").write_bytes(CONTENT)
    for beside in (tmp_path / "secret", tmp_path / "images-of-others"):
        beside.mkdir()
        (beside / "one.img").write_bytes(SECRET)
    return root


@pytest.fixture(params=["openat2", "without openat2", "openat2 forbidden"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernel's way to open beneath a root, and our own where there is none."""

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.EPERM if request.param == "openat2 forbidden" else errno.ENOSYS)
        return -1

    if request.param != "openat2":
        monkeypatch.setattr(locations._libc, "syscall", refuse)
    return str(request.param)


@pytest.fixture(autouse=True)
def _leaves_nothing_open(tmp_path: Path) -> Iterator[None]:
    yield
    assert [one for one in map(_target, Path("/proc/self/fd").iterdir()) if one.is_relative_to(tmp_path)] == []


def _target(descriptor: Path) -> Path:
    try:
        return descriptor.readlink()
    except FileNotFoundError:
        return Path()


def content(location: str, *roots: Path) -> bytes:
    """Open and read."""
    with os.fdopen(open_location(location, roots), "rb") as file:
        return file.read()


def refusal(location: str, *roots: Path) -> str:
    with pytest.raises(LocationRefused) as refused:
        open_location(location, roots)
    return str(refused.value)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("path", ["sub/one.img", "sub%2Fone.img", "sub/%6fne.img", "./sub/./one.img", "sub//one.img"])
def test_an_image_beneath_a_root_is_opened(root: Path, tmp_path: Path, path: str) -> None:
    for host in ("", "localhost"):
        assert content(f"file://{host}{root}/{path}", tmp_path / "other", root) == CONTENT


@pytest.mark.usefixtures("way")
def test_a_root_may_be_a_link_or_end_in_a_slash(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert content(f"file://{link}/sub/one.img", link) == content(f"file://{root}/sub/one.img", link) == CONTENT
    assert content(f"file://{root}/sub/one.img", Path("/")) == CONTENT


@pytest.mark.usefixtures("way")
def test_what_is_opened_is_for_reading_and_stays_ours(root: Path) -> None:
    descriptor = open_location((root / "sub" / "one.img").as_uri(), [root])
    try:
        assert not os.get_inheritable(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


LEAVING = [
    "../secret/one.img",
    "sub/../../secret/one.img",
    "sub/../sub/one.img",
    "%2e%2e/secret/one.img",
    "..%2Fsecret%2fone.img",
    "sub/one.img%00",
    "%00",
]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("path", LEAVING)
def test_a_path_with_dots_or_nul_is_refused(root: Path, path: str) -> None:
    assert "a path with '..' or U+0000" in refusal(f"file://{root}/{path}", root)


@pytest.mark.usefixtures("way")
def test_what_is_outside_the_roots_is_refused(root: Path, tmp_path: Path) -> None:
    for location in (
        "file:///etc/passwd",
        f"file://{tmp_path}/secret/one.img",
        f"file://{root}-of-others/one.img",
        f"file://{root}",
        f"file:///{root}/sub/one.img",
        "file:sub/one.img",
        "file:",
    ):
        assert "not beneath the configured image roots" in refusal(location, root)
    assert "not beneath the configured image roots" in refusal(f"file://{root}/sub/one.img")


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "http://localhost{}",
        "ftp://{}",
        "files://{}",
        "file://evil.example{}",
        "file://localhost:80{}",
        "file://me@localhost{}",
        "file://{}?version=1",
        "file://{}#part",
        "file://[{}",
    ],
)
def test_what_is_no_plain_file_location_is_refused(root: Path, form: str) -> None:
    assert content(f"file://{root}/sub/one.img", root) == CONTENT
    reason = refusal(form.format(f"{root}/sub/one.img"), root)
    assert "only file:///… locations are opened" in reason or "no location" in reason


def links_out(root: Path, tmp_path: Path) -> dict[str, Path]:
    """Symbolic links that end outside the root, or might."""
    secret = tmp_path / "secret"
    targets = {
        "file": (Path("../secret/one.img"), ""),
        "folder": (Path("../secret"), "one.img"),
        "absolute file": (secret / "one.img", ""),
        "absolute folder": (secret, "one.img"),
        "absolute inside": (root / "sub" / "one.img", ""),
        "out and in again": (Path("../images/sub/one.img"), ""),
        "link to a link": (Path("file"), ""),
        "loop": (Path("loop"), ""),
    }
    for name, (target, _) in targets.items():
        (root / name).symlink_to(target)
    return {name: root / name / rest for name, (_, rest) in targets.items()}


def test_links_out_of_the_root_are_refused(root: Path, tmp_path: Path, way: str) -> None:
    for name, path in links_out(root, tmp_path).items():
        reason = refusal(path.as_uri(), root)
        # Our own way does not go into a link at all.
        assert "it leaves the image root" in reason or (way != "openat2" and "Not a directory" in reason), name


def test_links_beneath_the_root_count_where_the_kernel_judges_them(root: Path, way: str) -> None:
    (root / "file").symlink_to("sub/one.img")
    (root / "folder").symlink_to("sub")
    (root / "sub" / "up").symlink_to("../sub/one.img")
    for path in ("file", "folder/one.img", "sub/up"):
        if way == "openat2":
            assert content(f"file://{root}/{path}", root) == CONTENT
        else:
            refusal(f"file://{root}/{path}", root)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "device", "missing", "missing folder", "file as folder", "long"])
def test_what_is_no_regular_file_is_refused_at_once(root: Path, kind: str) -> None:
    paths = {"missing folder": "no/one.img", "file as folder": "sub/one.img/one.img", "long": "x" * 256 + "/one.img"}
    path = root / paths.get(kind, kind)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "device":
        root, path = Path("/dev"), Path("/dev/zero")
    reasons = {
        "fifo": "no regular file",
        "folder": "no regular file",
        "device": "no regular file",
        "socket": "No such device or address",
        "missing": "No such file or directory",
        "missing folder": "No such file or directory",
        "file as folder": "Not a directory",
        "long": "File name too long",
    }
    assert refusal(path.as_uri(), root).endswith(f"/{path.name}: {reasons[kind]}")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rest", ["/", "/.", "//"])
def test_the_root_itself_is_no_image(root: Path, rest: str) -> None:
    refusal(f"file://{root}{rest}", root)


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(f"file://{tmp_path}/none/one.img", tmp_path / "none")


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that everybody reaches, and this thread's access to files that of an account without rights."""
    folder = Path(tempfile.mkdtemp(prefix="image-commons-locations-", dir="/var/tmp"))
    folder.chmod(0o755)
    libc = ctypes.CDLL(None)
    mine = os.geteuid()
    (folder / "open.img").write_bytes(CONTENT)
    (folder / "closed.img").write_bytes(SECRET)
    (folder / "closed.img").chmod(0)
    # setfsuid(2) is the thread's own, and takes root's right to read everything with it.
    libc.setfsuid(NOBODY)
    yield folder
    libc.setfsuid(mine)
    shutil.rmtree(folder)


@pytest.mark.usefixtures("way")
def test_what_may_not_be_read_is_refused(as_nobody: Path) -> None:
    assert content((as_nobody / "open.img").as_uri(), as_nobody) == CONTENT
    assert "Permission denied" in refusal((as_nobody / "closed.img").as_uri(), as_nobody)
