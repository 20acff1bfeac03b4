"""``image-commons databases``: load, list, verify and remove the databases that images are checked against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.errors import CommandError, ExitCode
from cli.options import DryRun, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.checker.adapters.databases.kinds import Kind
    from services.checker.adapters.databases.manifest import DatabaseError, Manifest
    from services.checker.adapters.databases.store import DatabaseStore, Found

app = typer.Typer(help="Load the databases that images are checked against.")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--databases",
        metavar="FOLDER",
        envvar="IMAGE_COMMONS_DATABASES",
        help="The folder they are in; by default your own, ~/.local/share/image-commons/databases.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that `list` shows.", show_default=False)]


@app.command("add")
def add(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="osv, debian-tracker, debian-suite, known-exploited or yara (see below).", show_default=False
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="PATH", help="The upstream's file, as it was fetched.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="What it is called; a database of that name is replaced. The kind by default.")
    ] = None,
    date: Annotated[
        str | None, typer.Option(metavar="DATE", help="Of when it is, as 2026-11-24; where it does not say so itself.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Its version; by default what it states, or its date.")] = None,
    release: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A suite's InRelease or Release, where it does not lie beside the index."),
    ] = None,
    databases: Folder = None,
    as_json: Json = False,
) -> None:
    """Load a database: read the upstream's file and make an index of it, in the place of an earlier one of that name.

    Nothing is fetched. Checks that run meanwhile use the old one to their end, later ones the new one; services need no restart.

    KIND, and where its file is found:

    osv: vulnerabilities of a distribution, a zip or a folder of JSON files. OSV's data dump has all.zip in the folder of each
    ecosystem: Debian, Ubuntu, Alpine, Rocky Linux, AlmaLinux, Red Hat, SUSE, openSUSE. Its date is the newest entry's.

    debian-tracker: the JSON file of Debian's security tracker, /tracker/data/json. It states no date: give --date.

    debian-suite: Sources or Packages (plain, gz, xz) of a security suite of Debian or Ubuntu, from any mirror:
    dists/bookworm-security/main/source/Sources.xz, with dists/bookworm-security/InRelease beside it for its date. It knows what
    is older than a released fix, and neither severities nor what has no fix.

    known-exploited: CISA's catalogue, known_exploited_vulnerabilities.json. It marks what the others find.

    yara: a folder of YARA rules, *.yar and *.yara, that files are searched by for malware, beside the rules that are built in.

    Examples:
      image-commons databases add osv all.zip --name osv-debian

      image-commons databases add debian-suite Sources.xz --name bookworm-security

      image-commons databases add debian-tracker debian.json --date 2026-11-24
    """
    from cli.check_progress import progress_bar
    from cli.output import Output
    from cli.tables import fields
    from services.checker.adapters.databases.kinds import Options
    from services.checker.adapters.databases.manifest import DatabaseError

    out, store = Output(as_json=as_json), _store(databases)
    chosen = _kind(kind)
    try:
        with progress_bar(wanted=not out.json, doing=f"loading {chosen.name}:") as on_progress:
            manifest = store.add(
                chosen,
                source,
                name=name,
                options=Options(date=date, release=release),
                version=version,
                on_progress=on_progress,
            )
    except DatabaseError as error:
        _end(error)
    document = _document(manifest, store)
    out.document(document, lambda: fields(document))


@app.command("list")
def list_(databases: Folder = None, as_json: Json = False) -> None:
    """List the databases: what each is for, of when it is, what was left out of it.

    Example:
      image-commons databases list --json | jq '.databases[] | select(.age_days > 14)'
    """
    from cli.output import Output
    from cli.tables import Column, table

    store = _store(databases)
    found = store.found()
    columns = (
        Column("name", whole=True),
        Column("for", whole=True),
        Column("date (UTC)", whole=True),
        Column("age", whole=True),
        Column("entries", whole=True),
        Column("kind", optional=True),
        Column("version", optional=True),
        Column("digest", whole=True, optional=True),
    )
    rows = [_row(one.manifest) if one.manifest is not None else (one.name, "cannot be used", *[None] * 6) for one in found]
    Output(as_json=as_json).document(
        {"folder": str(store.folder), "databases": [_told(one, store) for one in found]},
        lambda: table(columns, rows, title=f"Databases in {store.folder}"),
    )


@app.command("verify")
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Which; all by default.", show_default=False)
    ] = None,
    databases: Folder = None,
    as_json: Json = False,
) -> None:
    """Verify databases: that each index is the one that was made, byte for byte, and can be read.

    Exit codes: 0 nothing is amiss, 1 something is, 2 there is no such database, or none at all.

    Example:
      image-commons databases verify
    """
    from cli.output import Output
    from cli.tables import Column, table

    store = _store(databases)
    found = {one.name: one for one in store.found()}
    missing = [name for name in names or () if name not in found]
    if missing or not found:
        raise CommandError(
            "there is no such database" if missing else "there are no databases",
            where=f"{', '.join(missing)} in {store.folder}" if missing else str(store.folder),
            advice="image-commons databases list; or add one: image-commons databases add --help",
            exit_code=ExitCode.USAGE,
        )
    amiss = {name: _amiss(found[name], store) for name in names or found}
    Output(as_json=as_json).document(
        {"databases": [{"name": name, "amiss": what} for name, what in amiss.items()]},
        lambda: table(
            [Column("name", whole=True), Column("found")], [(name, "; ".join(what) or "in order") for name, what in amiss.items()]
        ),
    )
    if any(amiss.values()):
        raise typer.Exit(ExitCode.ERROR)


@app.command("remove")
def remove(name: Name, databases: Folder = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Remove a database.

    Example:
      image-commons databases remove osv-debian
    """
    from cli.output import Output, plain
    from services.checker.adapters.databases.manifest import DatabaseError

    store = _store(databases)
    try:
        if not dry_run:
            store.remove(name)
    except DatabaseError as error:
        _end(error)
    done = "would be removed" if dry_run else "removed"
    Output(as_json=as_json).document({"name": name, "removed": not dry_run}, lambda: plain(f"{name}: {done}"))


def _store(folder: Path | None) -> DatabaseStore:
    from cli.database_folder import default_folder
    from services.checker.adapters.databases.store import DatabaseStore

    return DatabaseStore(folder or default_folder())


def _kind(name: str) -> Kind:
    from services.checker.adapters.databases.kinds import KINDS

    if name not in KINDS:
        raise CommandError(
            "there is no such kind of databases",
            where=name,
            why="; ".join(f"{kind.name}: {kind.what}" for kind in KINDS.values()),
            advice="image-commons databases add --help tells where each is found",
            exit_code=ExitCode.USAGE,
        )
    return KINDS[name]


def _end(error: DatabaseError) -> NoReturn:
    raise CommandError(error.what, where=error.where, why=error.why, advice=error.advice) from error


def _row(manifest: Manifest) -> tuple[object, ...]:
    from shared.reporting.arrangement import short_digest

    return (
        manifest.name,
        manifest.purpose,
        manifest.date,
        _age(manifest),
        f"{manifest.entries:,}",
        manifest.kind,
        manifest.version,
        short_digest(manifest.digest),
    )


def _age(manifest: Manifest) -> str:
    from services.checker.adapters.databases.store import age_days

    days = age_days(manifest)
    return "1 day" if days == 1 else f"{days} days"


def _told(one: Found, store: DatabaseStore) -> dict[str, Any]:
    if one.manifest is not None:
        return _document(one.manifest, store)
    return {"name": one.name, "error": None if one.error is None else f"{one.error.why}; {one.error.advice}"}


def _document(manifest: Manifest, store: DatabaseStore) -> dict[str, Any]:
    from services.checker.adapters.databases.store import age_days

    kept = manifest.model_dump(mode="json", exclude={"format"})
    return {**kept, "age_days": age_days(manifest), "folder": str(store.folder / manifest.name)}


def _amiss(one: Found, store: DatabaseStore) -> Sequence[str]:
    if one.manifest is not None:
        return store.verify(one.manifest)
    return ["it cannot be used"] if one.error is None else [one.error.why]
