"""The part of the manager's face that moves sessions: to files, from files, to other stores."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from langgraph.store.base import BaseStore

from threadloom.errors import InvalidKey, SessionNotFound
from threadloom.models import MoveReport, SessionInfo, SessionRef, id_of
from threadloom.sessions import moving, plans
from threadloom.sessions.base import Face
from threadloom.sessions.moving import IfExists, Moved
from threadloom.store import Store
from threadloom.stores.registry import as_store, open_store

Progress = Callable[[int, int, str], None]
"""Told after each session: how many are done, how many there are, and which it was."""


class MovingFace(Face):
    """Export, import and copy sessions, without the application that made them."""

    def export_sessions(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        ids: Iterable[SessionRef] | None = None,
        *,
        progress: Progress | None = None,
    ) -> MoveReport:
        """Write sessions to a file of JSON Lines, a session a line, nothing left out.

        A file that is there already is gone on with: a session that has not changed since is
        skipped, one that has is written once more, behind, and a line that was torn when a process
        was killed is written again. Values stay encoded as they are
        stored; a manager with a serializer of its own needs the same one to read them.

        Args:
            path: the file; or an open one, which is written to and stays its owner's to close.
            ids: which sessions; all by default.
            progress: told after each session.

        Raises:
            SessionNotFound: one of `ids` is no session.
            CorruptRecord: the file is there and is no such file, or damaged before its end.
        """
        chosen = self._run(plans.ids(self._scope)) if ids is None else _ids(ids)
        report = _Report(chosen, progress)
        with _Target(path) as (file, done):
            for id in chosen:
                moved, paths = None, self._scope.paths(id)
                if id not in done or not self._run(moving.is_at(paths, done[id])):
                    moved = self._run(moving.read(paths))
                    if moved is None and ids is not None:
                        raise SessionNotFound(f"there is no session {id!r}")
                if moved is not None:
                    _write(file, moved)
                report.count(id, written=moved is not None)
        return report.made()

    async def aexport_sessions(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        ids: Iterable[SessionRef] | None = None,
        *,
        progress: Progress | None = None,
    ) -> MoveReport:
        """`export_sessions`, from an event loop."""
        chosen = await self._arun(plans.ids(self._scope)) if ids is None else _ids(ids)
        report = _Report(chosen, progress)
        async with _Target(path) as (file, done):
            for id in chosen:
                moved, paths = None, self._scope.paths(id)
                if id not in done or not await self._arun(moving.is_at(paths, done[id])):
                    moved = await self._arun(moving.read(paths))
                    if moved is None and ids is not None:
                        raise SessionNotFound(f"there is no session {id!r}")
                if moved is not None:
                    await asyncio.to_thread(_write, file, moved)
                report.count(id, written=moved is not None)
        return report.made()

    def import_sessions(
        self,
        path: str | os.PathLike[str],
        *,
        if_exists: IfExists = "skip",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> MoveReport:
        """Bring in what `export_sessions` wrote, each session all or nothing.

        Of a session that is in the file more than once the last counts. After a kill it is done
        again: sessions that arrived are skipped.

        Args:
            path: the file.
            if_exists: what happens to a session whose id is taken: ``"skip"``, ``"raise"``, or
                ``"replace"`` what is there.
            dry_run: change nothing; the report says what would be brought in.
            progress: told after each session.

        Raises:
            SessionExists: an id is taken, and `if_exists` is ``"raise"``.
            CorruptRecord: a line is damaged, or torn at the end; nothing is brought in.
            SchemaTooNew: a newer Threadloom wrote the file.
        """
        report = _Report(None, progress)
        for moved in _lines(Path(path)):
            written = self._run(moving.write(self._scope, moved, if_exists, dry_run=dry_run))
            report.count(moved.id, written=written)
        return report.made()

    async def aimport_sessions(
        self,
        path: str | os.PathLike[str],
        *,
        if_exists: IfExists = "skip",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> MoveReport:
        """`import_sessions`, from an event loop."""
        report = _Report(None, progress)
        lines = await asyncio.to_thread(_lines, Path(path))
        while (found := await asyncio.to_thread(next, lines, None)) is not None:
            written = await self._arun(moving.write(self._scope, found, if_exists, dry_run=dry_run))
            report.count(found.id, written=written)
        return report.made()

    def copy_sessions(
        self,
        to: str | BaseStore | MovingFace,
        ids: Iterable[SessionRef] | None = None,
        *,
        if_exists: IfExists = "skip",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> MoveReport:
        """Copy sessions to another store, each all or nothing.

        After a kill it is done again: sessions that arrived are skipped.

        Args:
            to: a store or its URL, where they belong to the same tenant; or a manager.
            ids: which sessions; all by default.
            if_exists, dry_run: as in `import_sessions`.
            progress: told after each session.

        Raises:
            SessionNotFound: one of `ids` is no session.
            SessionExists: an id is taken there, and `if_exists` is ``"raise"``.
        """
        chosen = self._run(plans.ids(self._scope)) if ids is None else _ids(ids)
        report = _Report(chosen, progress)
        other, opened = self._other(to)
        try:
            for id in chosen:
                moved = self._run(moving.read(self._scope.paths(id)))
                if moved is None and ids is not None:
                    raise SessionNotFound(f"there is no session {id!r}")
                written = moved is not None and other._run(
                    moving.write(other._scope, moved, if_exists, dry_run=dry_run)
                )
                report.count(id, written=written)
        finally:
            if opened is not None:
                opened.close()
        return report.made()

    async def acopy_sessions(
        self,
        to: str | BaseStore | MovingFace,
        ids: Iterable[SessionRef] | None = None,
        *,
        if_exists: IfExists = "skip",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> MoveReport:
        """`copy_sessions`, from an event loop."""
        chosen = await self._arun(plans.ids(self._scope)) if ids is None else _ids(ids)
        report = _Report(chosen, progress)
        # A store of somebody's is looked at here: it may belong to this loop.
        here = not isinstance(to, str)
        other, opened = self._other(to) if here else await asyncio.to_thread(self._other, to)
        try:
            for id in chosen:
                moved = await self._arun(moving.read(self._scope.paths(id)))
                if moved is None and ids is not None:
                    raise SessionNotFound(f"there is no session {id!r}")
                written = moved is not None and await other._arun(
                    moving.write(other._scope, moved, if_exists, dry_run=dry_run)
                )
                report.count(id, written=written)
        finally:
            if opened is not None:
                await opened.aclose()
        return report.made()

    def _other(self, to: str | BaseStore | MovingFace) -> tuple[MovingFace, Store | None]:
        """The other side, and its store if it was opened here."""
        if isinstance(to, MovingFace):
            other, opened = to, None
        else:
            if not isinstance(to, (str, BaseStore)):
                raise InvalidKey(f"copy to a store, its URL or a manager, not {to!r:.80}")
            store = open_store(to) if isinstance(to, str) else as_store(to)
            other = MovingFace()
            other._store, other._values, other._scope = store, self._values, self._scope
            opened = store if isinstance(to, str) else None
        if other._store is self._store and other._scope.root == self._scope.root:
            raise InvalidKey("sessions cannot be copied onto themselves: fork them instead")
        return other, opened


class _Report:
    """Counts what was moved, and tells about it."""

    def __init__(self, chosen: Sequence[str] | None, progress: Progress | None) -> None:
        self._total = None if chosen is None else len(chosen)
        self._progress = progress
        self._moved: list[str] = []
        self._skipped: list[str] = []

    def count(self, id: str, *, written: bool) -> None:
        (self._moved if written else self._skipped).append(id)
        done = len(self._moved) + len(self._skipped)
        if self._progress is not None:
            self._progress(done, max(done, self._total or 0), id)

    def made(self) -> MoveReport:
        return MoveReport(moved=tuple(self._moved), skipped=tuple(self._skipped))


def _ids(ids: Iterable[SessionRef]) -> list[str]:
    if isinstance(ids, (str, SessionInfo)):
        raise InvalidKey(f"a list of sessions is wanted, got {ids!r:.80}")
    return list(dict.fromkeys(id_of(item) for item in ids))


def _look(path: Path) -> tuple[dict[str, moving.Edition], int]:
    if not path.exists():
        return {}, 0
    with path.open("rb") as file:
        return moving.whole_lines(file)


class _Target:
    """Where sessions are written to: a file that may have some already, or one that is open."""

    def __init__(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        self._given = path
        self._own: BinaryIO | None = None

    def __enter__(self) -> tuple[BinaryIO, dict[str, moving.Edition]]:
        if not isinstance(self._given, (str, os.PathLike)):
            return self._given, {}
        path = Path(self._given)
        done, whole = _look(path)
        self._own = path.open("r+b" if whole else "wb")
        self._own.truncate(whole)
        self._own.seek(whole)
        return self._own, done

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._own is not None:
            try:
                if kind is None:
                    os.fsync(self._own.fileno())
            finally:
                self._own.close()

    async def __aenter__(self) -> tuple[BinaryIO, dict[str, moving.Edition]]:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *raised: Any) -> None:
        await asyncio.to_thread(self.__exit__, *raised)


def _write(file: BinaryIO, moved: Moved) -> None:
    file.write(moved.line())
    file.flush()


def _lines(path: Path) -> Iterator[Moved]:
    """The sessions of a file, each as it stands there last; all of it is looked at first."""
    last: dict[str, int] = {}
    for number, moved in _numbered(path):
        last[moved.id] = number
    for number, moved in _numbered(path):
        if last[moved.id] == number:
            yield moved


def _numbered(path: Path) -> Iterator[tuple[int, Moved]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            yield number, Moved.of_line(line, f"{path}, line {number}")
