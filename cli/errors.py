"""What a command says and how it exits when it cannot do what was asked."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the commands that talk to the services (``check`` has its own, see its help)."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    UNDETERMINED = 3
    """Of ``check`` alone: what could not be judged is not blocked."""
    NO_ANSWER = 4
    REFUSED = 5
    INTERRUPTED = 130
    """Ctrl-C, as shells count it: 128 + SIGINT."""


class CommandError(Exception):
    """A command failed for a reason the user can act on.

    Args:
        what: what did not work, one sentence.
        where: the address, file or id concerned.
        why: the cause, as far as known.
        advice: what to do next.
        exit_code: how the process ends.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        why: str | None = None,
        advice: str | None = None,
        exit_code: ExitCode = ExitCode.ERROR,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.advice = advice
        self.exit_code = exit_code
