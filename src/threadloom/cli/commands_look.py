"""The commands that only look."""

from __future__ import annotations

from typing import Annotated

import typer

from threadloom.cli.frame import app
from threadloom.cli.options import (
    Agent,
    Door,
    Framework,
    Id,
    Import,
    Json,
    KeyFile,
    OptionalId,
    Order,
    Owner,
    StatusIs,
    Store,
    Tag,
    Tenant,
    filters,
)


@app.command("list")
def list_(
    store: Store,
    owner: Owner = None,
    tag: Tag = None,
    status: StatusIs = None,
    agent: Agent = None,
    framework: Framework = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many.")] = None,
    order_by: Annotated[
        Order, typer.Option(help="Oldest created first, or newest updated first.")
    ] = Order.created_at,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """List sessions.

    Of a database of LangGraph's SqliteSaver its threads.
    """
    from threadloom.cli import keys, listing, places

    place = places.place(store)
    chosen = filters(owner, tag, status, agent, framework)
    if place.is_langgraph:
        listing.list_threads(
            place,
            tenant=tenant,
            filters=chosen,
            limit=limit,
            order_by=order_by.value,
            as_json=json,
        )
    else:
        listing.list_sessions(
            place,
            tenant=tenant,
            filters=chosen,
            limit=limit,
            order_by=order_by.value,
            as_json=json,
            keys=keys.keyring(key_file),
        )


@app.command()
def show(
    store: Store,
    id: Id,
    limit: Annotated[int, typer.Option(min=0, help="So many of the newest messages.")] = 20,
    state: Annotated[
        bool, typer.Option("--state", help="Also what else is in the channels of the graph.")
    ] = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Show a session as a chat.

    What is known of it, its newest messages, and what its graph waits for.
    """
    from threadloom.cli import keys, looking, places

    looking.show(
        places.place(store),
        id,
        limit=limit,
        state=state,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def messages(
    store: Store,
    id: Id,
    limit: Annotated[int | None, typer.Option(min=0, help="Only the newest so many.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="MESSAGE", help="Only what stands before this message.")
    ] = None,
    source: Annotated[
        Door, typer.Option(help="Those of the graph, of the chat history, or both.")
    ] = Door.auto,
    channel: Annotated[str, typer.Option(help="The graph's channel.")] = "messages",
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Print a conversation, oldest first.

    A long one is printed as it is read.
    """
    from threadloom.cli import keys, looking, places

    looking.messages(
        places.place(store),
        id,
        limit=limit,
        before=before,
        source=source.value,
        channel=channel,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def tree(
    store: Store, id: Id, tenant: Tenant = None, key_file: KeyFile = None, json: Json = False
) -> None:
    """Draw the checkpoints of a session.

    Branches, the head, what waits and what failed.
    """
    from threadloom.cli import keys, looking, places

    looking.tree(places.place(store), id, tenant=tenant, keys=keys.keyring(key_file), as_json=json)


@app.command()
def diff(
    store: Store,
    id: Id,
    before: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A checkpoint: its id, the beginning or end of it, head, head~2."
        ),
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")] = "head",
    everything: Annotated[
        bool, typer.Option("--all", help="Also the channels that LangGraph itself needs.")
    ] = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Show what has changed from checkpoint A to B.

    Channel by channel, and message by message.
    """
    from threadloom.cli import keys, looking, places

    looking.diff(
        places.place(store),
        id,
        before,
        after,
        everything=everything,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def search(
    store: Store,
    words: Annotated[list[str], typer.Argument(metavar="WORD", help="Any of these.")],
    owner: Owner = None,
    tag: Tag = None,
    status: StatusIs = None,
    agent: Agent = None,
    framework: Framework = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many.")] = 20,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Find sessions by words, best first.

    In names and messages; a session with any of the words is found.
    """
    from threadloom.cli import keys, looking, places

    looking.search(
        places.place(store),
        " ".join(words),
        filters=filters(owner, tag, status, agent, framework),
        limit=limit,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def stats(
    store: Store,
    id: OptionalId = None,
    import_: Import = None,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Show what sessions take up.

    For LangGraph's database also what they would take up here.
    """
    from threadloom.cli import keys, places, statistics

    place = places.place(store)
    places.import_modules(import_ or [])
    if place.is_langgraph:
        statistics.langgraph_statistics(place, id, tenant=tenant, as_json=json)
    else:
        statistics.store_statistics(
            place, id, tenant=tenant, as_json=json, keys=keys.keyring(key_file)
        )


__all__ = ["diff", "list_", "messages", "search", "show", "stats", "tree"]
