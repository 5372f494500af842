"""The commands that change sessions."""

from __future__ import annotations

from typing import Annotated

import typer

from threadloom.cli.frame import app
from threadloom.cli.options import (
    Agent,
    DryRun,
    Framework,
    Id,
    Json,
    KeyFile,
    OlderThan,
    OptionalIds,
    Owner,
    StatusIs,
    Store,
    Tag,
    Tenant,
    Yes,
    filters,
)

Checkpoint = Annotated[
    str | None,
    typer.Option(metavar="ID", help="A checkpoint: its id, an end of it, head, head~2."),
]
Tags = Annotated[list[str], typer.Argument(metavar="TAG")]


@app.command()
def fork(
    store: Store,
    id: Id,
    name: Annotated[
        str | None, typer.Option(help="The name of the copy; by default that with (fork).")
    ] = None,
    checkpoint: Checkpoint = None,
    messages: Annotated[
        int | None, typer.Option(min=0, help="Go no further than so many messages.")
    ] = None,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Copy a session, whole or up to a point.

    Prints the id of the copy.
    """
    from threadloom.cli import changing, keys, places

    changing.fork(
        places.place(store),
        id,
        name=name,
        checkpoint=checkpoint,
        messages=messages,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def rewind(
    store: Store,
    id: Id,
    messages: Annotated[
        int | None, typer.Option(min=0, help="Keep the first so many messages.")
    ] = None,
    checkpoint: Checkpoint = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Take a session back to what it was.

    Checkpoints that are undone stay until they are pruned; messages of the chat history go.
    """
    from threadloom.cli import changing, keys, places

    changing.rewind(
        places.place(store),
        id,
        checkpoint=checkpoint,
        messages=messages,
        dry_run=dry_run,
        yes=yes,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def tag(
    store: Store,
    id: Id,
    tags: Tags,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Add tags to a session, and print all that it has."""
    from threadloom.cli import changing, keys, places

    changing.tag(
        places.place(store),
        id,
        tags,
        take_away=False,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def untag(
    store: Store,
    id: Id,
    tags: Tags,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Take tags of a session away, and print the others."""
    from threadloom.cli import changing, keys, places

    changing.tag(
        places.place(store),
        id,
        tags,
        take_away=True,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


@app.command()
def rename(
    store: Store,
    id: Id,
    name: Annotated[str, typer.Argument(metavar="NAME", help='The new name; "" for none.')],
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Give a session another name."""
    from threadloom.cli import changing, keys, places

    changing.rename(
        places.place(store), id, name, tenant=tenant, keys=keys.keyring(key_file), as_json=json
    )


@app.command()
def delete(
    store: Store,
    ids: OptionalIds = None,
    owner: Owner = None,
    tag: Tag = None,
    status: StatusIs = None,
    agent: Agent = None,
    framework: Framework = None,
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: Tenant = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> int:
    """Delete sessions, by their ids or all that pass filters.

    Older than an age are sessions without activity for longer. By filters those with a turn under
    way are spared.
    """
    from threadloom.cli import changing, keys, places

    return changing.delete(
        places.place(store),
        ids or [],
        filters=filters(owner, tag, status, agent, framework),
        older_than=older_than,
        dry_run=dry_run,
        yes=yes,
        tenant=tenant,
        keys=keys.keyring(key_file),
        as_json=json,
    )


__all__ = ["delete", "fork", "rename", "rewind", "tag", "untag"]
