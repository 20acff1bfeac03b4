"""Entry point of ``image-commons``: knows every command's name and one-line help, imports only the one asked for."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.errors import CommandError

_ADVICE = {
    errno.ENOSPC: "make room, or write elsewhere",
    errno.EACCES: "check the permissions, or name another place",
    errno.EPERM: "check the permissions, or name another place",
    errno.EROFS: "name a place that can be written to",
    errno.ENOENT: "check the path",
}
DEBUG_VARIABLE = "IMAGE_COMMONS_DEBUG"
EPILOG = (
    "Exit codes: 0 done, 1 error, 2 usage, 4 no answer in time, 5 refused (`check --help` has its own). "
    "A terminal gets tables, a pipe gets JSON; --json forces it."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command's place in the help, and where it is: a module, or a module and one of its functions (`module:function`)."""

    name: str
    panel: str
    help: str
    module: str


_START = "Try it"
_VENDOR = "Vendors"
_USER = "Image users"
_UPSTREAM = "Upstream services (facts)"
_OPERATOR = "Operators"

COMMANDS = (
    Entry("demo", _START, "Tell the whole story on a real disk image, then clean up.", "cli.commands.demo"),
    Entry("check", _START, "Check a disk image; needs no broker and no database.", "cli.commands.check"),
    Entry("publish", _VENDOR, "Publish an image to every account of its region.", "cli.commands.publishing:publish"),
    Entry("unpublish", _VENDOR, "Take a community image back.", "cli.commands.publishing:unpublish"),
    Entry("share", _VENDOR, "Share an image with one account.", "cli.commands.sharing:share"),
    Entry("unshare", _VENDOR, "Take a share back.", "cli.commands.sharing:unshare"),
    Entry("publications", _VENDOR, "Publications and how they ended.", "cli.commands.publications"),
    Entry("report", _VENDOR, "The report of a check, by any of its ids.", "cli.commands.report"),
    Entry("images", _USER, "Images an account sees in a region.", "cli.commands.images"),
    Entry("launch", _USER, "Create an instance from an image.", "cli.commands.instances:launch"),
    Entry("reinit", _USER, "Re-initialise an instance's system disk.", "cli.commands.instances:reinit"),
    Entry("replace-os", _USER, "Give an instance's system disk another image.", "cli.commands.instances:replace_os"),
    Entry("release", _USER, "Release an instance.", "cli.commands.instances:release"),
    Entry("instances", _USER, "Instances of an account.", "cli.commands.instances:instances"),
    Entry("account", _UPSTREAM, "State what an account is.", "cli.commands.account"),
    Entry("image", _UPSTREAM, "Register, change or delete a custom image.", "cli.commands.image"),
    Entry("permit", _OPERATOR, "Grant an account the publish permission.", "cli.commands.operating:permit"),
    Entry("take-down", _OPERATOR, "Take a community image down, with a reason.", "cli.commands.operating:take_down"),
    Entry(
        "take-down-lift", _OPERATOR, "Allow a taken-down image to be published again.", "cli.commands.operating:take_down_lift"
    ),
    Entry("databases", _OPERATOR, "Load the databases that images are checked against.", "cli.commands.databases"),
    Entry("queue", _OPERATOR, "How many checks wait, and since when.", "cli.commands.queue"),
    Entry("dead-letters", _OPERATOR, "Read the records no service could handle.", "cli.commands.dead_letters"),
    Entry("republish", _OPERATOR, "Tell every image's and account's state once more.", "cli.commands.republish"),
    Entry("stack", _OPERATOR, "A local Kafka and PostgreSQL, without Docker.", "cli.commands.stack"),
    Entry("topics", _OPERATOR, "Make the topics (one-shot job).", "cli.commands.topics"),
    Entry("migrate", _OPERATOR, "Bring the databases up to date (one-shot job).", "cli.commands.migrate"),
    Entry("probe", _OPERATOR, "Ask a health address of a service; for health checks.", "cli.commands.probe"),
    Entry("run", _OPERATOR, "Run a service, or all four.", "cli.commands.run"),
)


def build(arguments: Sequence[str]) -> typer.Typer:
    """Return the application for `arguments`: whole for the command they name, names and help lines of the others."""
    app = typer.Typer(
        name="image-commons",
        help="Community images: publish a disk image to every account of a region, checked before anyone sees it.",
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    completing = any(name.endswith("_COMPLETE") and "IMAGE_COMMONS" in name for name in os.environ)
    for entry in COMMANDS:
        if entry.name == asked or completing:
            _add(app, entry)
        else:
            app.command(entry.name, help=entry.help, rich_help_panel=entry.panel)(_not_loaded)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the command's exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    from cli.errors import CommandError, ExitCode

    try:
        try:
            build(given)(given, prog_name="image-commons")
        finally:
            sys.stdout.flush()  # what cannot be written is met here, not at the interpreter's end
    except CommandError as error:
        _end(error)
    except BrokenPipeError:
        # The reader of our pipe has gone: nothing is left to say to it.
        _discard_output()
        sys.exit(ExitCode.ERROR)
    except OSError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _discard_output()
        where = None if error.filename is None else str(error.filename)
        what = error.strerror or type(error).__name__
        _end(CommandError(f"the system refuses: {what}", where=where, advice=_ADVICE.get(error.errno or 0)))
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        advice = f"set {DEBUG_VARIABLE}=1 to see where, and report it"
        _end(CommandError(f"internal error: {type(error).__name__}: {error}", advice=advice))


def _end(error: CommandError) -> NoReturn:
    from cli.output import report_error

    report_error(error)
    sys.exit(error.exit_code)


def _discard_output() -> None:
    """Point standard output elsewhere, so that the interpreter's last flush is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _add(app: typer.Typer, entry: Entry) -> None:
    """Import the entry's function, its module's `command`, or its module's Typer `app` (one command or a group)."""
    path, _, name = entry.module.partition(":")
    module: Any = importlib.import_module(path)
    function = getattr(module, name or "command", None)
    if function is None and len(module.app.registered_commands) == 1:
        (only,) = module.app.registered_commands
        # `image-commons check IMAGE`, not `image-commons check check IMAGE`; but `image-commons topics apply`.
        if (only.name or only.callback.__name__) in {entry.name, "command", "main"}:
            function = only.callback
    if function is not None:
        app.command(entry.name, rich_help_panel=entry.panel)(function)
    else:
        app.add_typer(module.app, name=entry.name, rich_help_panel=entry.panel, no_args_is_help=True)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"image-commons {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Community images: publish a disk image to every account of a region, checked before anyone sees it."""


def _not_loaded() -> None:
    """Stand in the list of commands for one whose module was not asked for."""


if __name__ == "__main__":
    main()
