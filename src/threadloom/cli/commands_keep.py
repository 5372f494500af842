"""The commands that look after what is stored, and move it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from threadloom.cli.frame import app
from threadloom.cli.group import USAGE, Fault
from threadloom.cli.options import (
    DryRun,
    IfExists,
    IfThere,
    Import,
    Json,
    KeyFile,
    OlderThan,
    OptionalId,
    OptionalIds,
    Store,
    Tenant,
    Yes,
)


@app.command()
def prune(
    store: Store,
    ids: OptionalIds = None,
    keep_last: Annotated[
        int | None, typer.Option(min=1, help="Keep the newest so many of each session.")
    ] = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Remove old checkpoints.

    What a session is now stays exactly as it is.
    """
    from threadloom.cli import keeping, keys, places

    keeping.prune(
        places.place(store),
        ids or [],
        keep_last=keep_last,
        older_than=older_than,
        dry_run=dry_run,
        yes=yes,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def check(
    store: Store,
    id: OptionalId = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended without guessing.")
    ] = False,
    yes: Yes = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> int:
    """Look for damage, and mend it.

    The exit code is 1 where some is left.
    """
    from threadloom.cli import keeping, keys, places

    return keeping.check(
        places.place(store),
        id,
        fix=fix,
        yes=yes,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def export(
    store: Store,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    ids: OptionalIds = None,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Write sessions to a file of JSON Lines.

    A session a line, nothing left out. A file that is there is gone on with: only sessions that
    have changed are written again.
    """
    from threadloom.cli import keys, moving, places

    moving.export(
        places.place(store),
        file,
        ids or [],
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command("import")
def import_(
    store: Store,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What export wrote.")],
    if_exists: IfExists = IfThere.skip,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Bring in what was exported.

    The store is made if it is missing.
    """
    from threadloom.cli import keys, moving, places

    moving.import_(
        places.place(store),
        file,
        if_exists=if_exists.value,
        dry_run=dry_run,
        yes=yes,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def copy(
    store: Store,
    other: Annotated[
        str, typer.Argument(metavar="OTHER", help="Another store; made if it is missing.")
    ],
    ids: OptionalIds = None,
    if_exists: IfExists = IfThere.skip,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    to_tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose they are there; the same by default.")
    ] = None,
    key_file: KeyFile = None,
    to_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The keys of the other store.")
    ] = None,
    json: Json = False,
) -> None:
    """Copy sessions to another store.

    Of whatever kind. Run it again to go on after a break.
    """
    from threadloom.cli import keys, moving, places

    moving.copy(
        places.place(store),
        places.place(other, "OTHER"),
        ids or [],
        if_exists=if_exists.value,
        dry_run=dry_run,
        yes=yes,
        tenant=tenant,
        to_tenant=tenant if to_tenant is None else to_tenant,
        keys=keys.keyring(key_file),
        to_keys=keys.keyring(to_key_file),
        as_json=json,
    )


@app.command()
def migrate(
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD",
            help="A database of LangGraph's SqliteSaver or of LangChain's SQLChatMessageHistory, "
            "a file or a folder of its FileChatMessageHistory, or postgresql://… of a "
            "PostgresSaver or a PostgresChatMessageHistory.",
        ),
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="A store, as a file or a URL; made if missing.")
    ],
    thread: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this thread or history; may come again."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Bring over the chat histories in this table."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Store nothing; tell how large it would be.")
    ] = False,
    import_: Import = None,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> int:
    """Bring LangGraph's threads or LangChain's histories over.

    OLD is only read. Run it again to go on after a break, or to bring over what is new. Of a
    database with both, the threads come; its chat histories come with --table.
    """
    from threadloom.cli import keys, migrating, places

    for option, given in (("--thread", thread), ("--table", None if table is None else [table])):
        if given is not None and not all(given):
            raise Fault(f"{option} is empty", code=USAGE)
    return migrating.migrate(
        places.place(old, "OLD"),
        places.place(new, "NEW"),
        threads=thread or None,
        table=table,
        tenant=tenant,
        keys=keys.keyring(key_file),
        imports=import_ or [],
        dry_run=dry_run,
        as_json=json,
    )


__all__ = ["check", "copy", "export", "import_", "migrate", "prune"]
