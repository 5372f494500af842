"""`threadloom export`, `import` and `copy`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from threadloom import Keyring, MoveReport
from threadloom.cli import finding, output
from threadloom.cli.asking import ask
from threadloom.cli.group import USAGE, Fault
from threadloom.cli.output import Column
from threadloom.cli.places import Place
from threadloom.sessions import SessionManager
from threadloom.stores.registry import is_store_at
from threadloom.words.amounts import counted

IfExists = Literal["skip", "raise", "replace"]
_MOVED = (Column("session"), Column("outcome"))


def export(
    place: Place,
    file: str,
    ids: Sequence[str],
    *,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Write sessions to a file of JSON Lines, or to standard output."""
    if file == "-" and as_json:
        raise Fault("--json says what was done, and so does not go with the file -", code=USAGE)
    with place.sessions(tenant, keys) as sessions:
        chosen = [info.id for info in finding.all_sessions(sessions, place, ids)] if ids else None
        with output.counting("Exporting", quiet=as_json) as show:
            target = sys.stdout.buffer if file == "-" else Path(file).expanduser()
            report = sessions.export_sessions(target, chosen, progress=show)
    if keys is not None:
        output.remark(f"threadloom: what is in {file} is not encrypted")
    if file != "-":
        _tell({"store": place.shown, "file": file}, report, "exported", as_json=as_json)


def import_(
    place: Place,
    file: str,
    *,
    if_exists: IfExists,
    dry_run: bool,
    yes: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Bring in what was exported; a question comes before anything is replaced."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise Fault(f"{file} is no file: name one that threadloom export wrote")
    if not place.is_there():  # nothing is made for a file that is damaged
        with closing(SessionManager("memory://", tenant=tenant)) as nothing:
            nothing.import_sessions(path, dry_run=True)
    with _target(place, tenant, keys, dry_run=dry_run) as sessions:
        report = _moved(
            lambda mode, dry, show: sessions.import_sessions(
                path, if_exists=mode, dry_run=dry, progress=show
            ),
            "Importing",
            if_exists,
            dry_run=dry_run,
            yes=yes,
            quiet=as_json,
        )
    head = {"store": place.shown, "file": file, "dry_run": dry_run}
    _tell(head, report, "to be imported" if dry_run else "imported", as_json=as_json)


def copy(
    place: Place,
    other: Place,
    ids: Sequence[str],
    *,
    if_exists: IfExists,
    dry_run: bool,
    yes: bool,
    tenant: str | None,
    to_tenant: str | None,
    keys: Keyring | None,
    to_keys: Keyring | None,
    as_json: bool,
) -> None:
    """Copy sessions to another store; a question comes before anything is replaced."""
    if _same(place, other) and tenant == to_tenant:
        raise Fault("STORE and OTHER are the same: fork sessions instead", code=USAGE)
    with place.sessions(tenant, keys) as sessions:
        chosen = [info.id for info in finding.all_sessions(sessions, place, ids)] if ids else None
        with _target(other, to_tenant, to_keys, dry_run=dry_run) as to:
            report = _moved(
                lambda mode, dry, show: sessions.copy_sessions(
                    to, chosen, if_exists=mode, dry_run=dry, progress=show
                ),
                "Copying",
                if_exists,
                dry_run=dry_run,
                yes=yes,
                quiet=as_json,
            )
    if keys is not None and to_keys is None:
        output.remark(f"threadloom: what is in {other.shown} is not encrypted")
    head = {"store": place.shown, "other": other.shown, "dry_run": dry_run}
    _tell(head, report, "to be copied" if dry_run else "copied", as_json=as_json)


Move = Callable[[IfExists, bool, Callable[[int, int, str], None] | None], MoveReport]


def _moved(
    move: Move, label: str, if_exists: IfExists, *, dry_run: bool, yes: bool, quiet: bool
) -> MoveReport:
    if if_exists == "replace" and not dry_run and not yes:
        with output.counting("Looking", quiet=quiet) as show:
            there = move("skip", True, show).skipped
        if there:
            ask(f"Replace {counted(len(there), 'session')} that are there already?", yes=False)
    with output.counting("Looking" if dry_run else label, quiet=quiet) as show:
        return move(if_exists, dry_run, show)


def _target(
    place: Place, tenant: str | None, keys: Keyring | None, *, dry_run: bool
) -> closing[SessionManager]:
    """A store to bring something into; in a dry run one that is not there is not made."""
    if place.path is not None and not place.path.parent.is_dir():
        raise Fault(f"the folder {place.path.parent} does not exist: make it first")
    if dry_run and not place.is_there():
        return closing(SessionManager("memory://", tenant=tenant))
    if dry_run and place.path is None and place.folder is None and not is_store_at(place.url):
        return closing(SessionManager("memory://", tenant=tenant))
    return closing(place.open_or_make(tenant, keys))


def _same(place: Place, other: Place) -> bool:
    ones = [item.path or item.folder for item in (place, other)]
    if ones[0] is not None and ones[1] is not None:
        return ones[0].absolute().resolve() == ones[1].absolute().resolve()
    return place.url == other.url


def _tell(head: dict[str, object], report: MoveReport, outcome: str, *, as_json: bool) -> None:
    if as_json:
        output.document({**head, **report.model_dump(mode="json")})
        return
    rows = [(id, outcome) for id in report.moved] + [(id, "skipped") for id in report.skipped]
    output.table(_MOVED, rows)
    skipped = f", {len(report.skipped):,} skipped" if report.skipped else ""
    output.line(f"{counted(len(report.moved), 'session')} {outcome}{skipped}")


__all__ = ["copy", "export", "import_"]
