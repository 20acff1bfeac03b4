"""The content version of a file: changes whenever its bytes may have changed, as an ETag does."""

import os


def content_version_of(status: os.stat_result) -> str:
    """Return the content version of the file whose status (stat(2)) is given.

    Modification and change time in nanoseconds, size and inode: writing to the file, replacing it, and setting its modification
    time back all change at least one of them.
    """
    return f"file-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
