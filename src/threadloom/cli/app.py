"""The commands and their options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from threadloom._version import __version__
from threadloom.cli.group import USAGE, Commands, Fault

app = typer.Typer(
    name="threadloom",
    cls=Commands,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Status(StrEnum):
    """What a session can be."""

    idle = "idle"
    running = "running"
    interrupted = "interrupted"
    error = "error"


class Order(StrEnum):
    """What sessions can be ordered by."""

    created_at = "created_at"
    updated_at = "updated_at"


Store = Annotated[
    str, typer.Argument(metavar="STORE", help="A file, or a URL such as sqlite:///sessions.db.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Tenant = Annotated[str | None, typer.Option(metavar="NAME", help="Whose sessions.")]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Where classes of values are."),
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"threadloom {__version__}")
        raise typer.Exit


@app.callback()
def threadloom(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sessions of LangGraph and LangChain applications.

    What goes into a pipe is separated by tabs and has no headings. The exit code is 0 if all is
    well, 1 if something was refused or failed, 2 if the command line makes no sense.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


@app.command("list")
def list_(
    store: Store,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Only this owner's.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Only with this tag; may come again.")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="Only in this state.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this agent.")] = None,
    framework: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this framework's adapter.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many.")] = None,
    order_by: Annotated[
        Order, typer.Option(help="Oldest created first, or newest updated first.")
    ] = Order.created_at,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """List sessions, or the threads in a database of LangGraph's SqliteSaver."""
    from threadloom.cli import listing, places

    place = places.place(store)
    chosen = {
        "owner": owner,
        "tags": tag or None,
        "status": None if status is None else status.value,
        "agent_name": agent,
        "framework": framework,
    }
    filters: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    show = listing.list_threads if place.is_langgraph else listing.list_sessions
    show(
        place,
        tenant=tenant,
        filters=filters,
        limit=limit,
        order_by=order_by.value,
        as_json=json,
    )


@app.command()
def stats(
    store: Store,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One session instead of all.")
    ] = None,
    import_: Import = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Show what sessions take up; for LangGraph's database also what they would take up here."""
    from threadloom.cli import places, statistics

    place = places.place(store)
    places.import_modules(import_ or [])
    if place.is_langgraph:
        statistics.langgraph_statistics(place, id, tenant=tenant, as_json=json)
    else:
        statistics.store_statistics(place, id, tenant=tenant, as_json=json)


@app.command()
def migrate(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A database of LangGraph's SqliteSaver.")
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="A store, as a file or a URL; made if missing.")
    ],
    thread: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this thread; may come again.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Store nothing; tell how large it would be.")
    ] = False,
    import_: Import = None,
    tenant: Tenant = None,
    json: Json = False,
) -> int:
    """Bring the threads of LangGraph's SqliteSaver over into a store.

    OLD is only read. Run it again to go on after a break, or to bring over what is new.
    """
    from threadloom.cli import migrating, places

    if thread is not None and not all(thread):
        raise Fault("--thread is empty", code=USAGE)
    return migrating.migrate(
        places.place(old, "OLD"),
        places.place(new, "NEW"),
        threads=thread or None,
        tenant=tenant,
        imports=import_ or [],
        dry_run=dry_run,
        as_json=json,
    )


__all__ = ["app"]
