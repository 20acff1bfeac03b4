"""Whether an inspector that says what holds it is held well enough. Pure."""

from collections.abc import Sequence
from typing import Final

NO_CALLS: Final = "only reading system calls (seccomp)"
NO_FILES: Final = "no files (Landlock)"
NO_NETWORK: Final = "empty network namespace"


def is_confined(held: Sequence[str]) -> bool:
    """Whether what a hostile image makes the inspector do stays inside it.

    seccomp alone does that: no file, socket or program can be had. Without it, Landlock and a network namespace of its own do.
    """
    return NO_CALLS in held or {NO_FILES, NO_NETWORK} <= {*held}


def why_not(held: Sequence[str]) -> str:
    """Return in words what does not hold."""
    missing = [one.removeprefix("NOT ") for one in held if one.startswith("NOT ")]
    return "; ".join(missing) or "it did not say what holds it"
