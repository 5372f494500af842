"""Files of LangChain's `FileChatMessageHistory`: a JSON list of messages, one session a file."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threadloom.errors import CorruptRecord, InvalidKey, StoreUnavailable
from threadloom.migrate.conversations import HistorySource, HistorySummary, StoredMessage

_END = ".json"
_DATABASE = b"SQLite format 3\0"
_LOOK = 1_000


class HistoryFolder(HistorySource):
    """Reads one file, or all files of a folder whose names end in ``.json``; changes nothing.

    A session's id is the name of its file without ``.json``. Messages have no times; all of a file
    have that of its last change.

    Args:
        path: the file or the folder.

    Raises:
        StoreUnavailable: there is nothing, or it cannot be read.
    """

    kind = "langchain-file"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(self.path)
        with self._reporting():
            if self.path.is_dir():
                found = sorted(file for file in self.path.glob(f"*{_END}") if file.is_file())
            else:
                found = [self.path]
            changed = {file: file.stat().st_mtime for file in found}
        if not found:
            raise StoreUnavailable(
                f"{self.path} is a folder without chat histories: no file in it ends in {_END}"
            )
        self._files = {
            file.name.removesuffix(_END): file for file in sorted(found, key=changed.__getitem__)
        }

    def choose(self, table: str | None) -> None:
        """Files have no tables.

        Raises:
            InvalidKey: one is named.
        """
        if table is not None:
            raise InvalidKey(f"{self.name} is no database: there is no table to choose")

    @property
    def bytes(self) -> int:
        """The size of the files."""
        with self._reporting():
            return sum(file.stat().st_size for file in self._files.values() if file.is_file())

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Each file is read at once."""
        yield

    def sessions(self) -> list[HistorySummary]:
        """All histories; the one that was written to last comes last."""
        found = []
        with self._reporting():
            for id, file in self._files.items():
                state = file.stat()
                try:
                    count = len(_messages(file))
                except CorruptRecord:
                    count = 0  # who reads it says so
                at = datetime.fromtimestamp(state.st_mtime, UTC)
                found.append(HistorySummary(id, count, state.st_size, at))
        return found

    def messages(self, session: str) -> list[StoredMessage]:
        """The messages of one of the histories, oldest first."""
        with self._reporting():
            found = _messages(self._files[session])
        return [
            StoredMessage(f"message {number}", f"{session}-{number}", json.dumps(message))
            for number, message in enumerate(found, start=1)
        ]

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(f"{self.path} cannot be read: {error}") from error


def is_history(path: Path) -> bool:
    """Whether a path leads to a folder, or to a file that is JSON by its name or its beginning.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    try:
        if path.is_dir():
            return True
        with path.open("rb") as file:
            begins = file.read(_LOOK)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error}") from error
    is_json = path.name.endswith(_END) or begins.removeprefix(BOM_UTF8).lstrip()[:1] == b"["
    return is_json and not begins.startswith(_DATABASE)


def _messages(file: Path) -> list[Any]:
    try:
        found = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise CorruptRecord(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(f"{file} is no JSON: {error}") from error
    if not isinstance(found, list):
        raise CorruptRecord(f"{file} holds no list of messages")
    return found


__all__ = ["HistoryFolder", "is_history"]
