"""Bytes in and out of files: whole or not at all, and on the disk where that is promised."""

from __future__ import annotations

import contextlib
import errno
import os
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from threadloom.errors import StoreUnavailable

if TYPE_CHECKING:
    from concurrent.futures import Executor

GUARD = 24
"""So many bytes before the place where a reader goes on tell whether it is the same file."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Signature(NamedTuple):
    """What shows that a file has changed."""

    inode: int
    size: int
    modified: int


class Piece(NamedTuple):
    """What was read of a file, from `start` to its end at that time.

    Attributes:
        signature: of the file, before it was read.
        start: where `data` begins.
        guard: up to `GUARD` bytes that stand before it.
    """

    signature: Signature
    start: int
    guard: bytes
    data: bytes


def signature(path: Path) -> Signature | None:
    """How a file stands; None where there is none."""
    try:
        return signed(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path: Path, start: int = 0) -> Piece | None:
    """The bytes of a file from `start` on; None where there is none."""
    try:
        with path.open("rb", buffering=0) as file:
            found = signed(os.fstat(file.fileno()))
            before = min(start, GUARD)
            file.seek(start - before)
            data = file.readall()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Piece(found, start, data[:before], data[before:])


async def aread(path: Path, start: int, threads: Executor) -> Piece | None:
    """`read` by way of aiofiles."""
    import aiofiles  # only asynchronous readers need it

    try:
        async with aiofiles.open(path, "rb", buffering=0, executor=threads) as file:
            found = signed(os.fstat(file.fileno()))
            before = min(start, GUARD)
            await file.seek(start - before)
            data = await file.readall()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Piece(found, start, data[:before], data[before:])


def append(path: Path, size: int, data: bytes, *, to_disk: bool) -> Signature:
    """Add to a file of this size, or leave it as it was.

    Raises:
        OSError: nothing was added.
    """
    with path.open("r+b", buffering=0) as file:
        try:
            file.seek(size)
            _write(file, data)
            if to_disk:
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # what is left then is a torn line
                file.truncate(size)
            raise
        return signed(os.fstat(file.fileno()))


def replace(path: Path, data: bytes, aside: Path, *, sync_folder: bool) -> Signature:
    """Put a file in another's place, on the disk before it is seen.

    Args:
        path: the file; it need not be there yet.
        data: all of its content.
        aside: where it is written first, in the same folder.
        sync_folder: whether the new name has to be on the disk, too.
    """
    try:
        with aside.open("wb", buffering=0) as file:
            _write(file, data)
            os.fsync(file.fileno())
            found = signed(os.fstat(file.fileno()))
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    if sync_folder:
        sync(path.parent)
    return found


def cut(path: Path, size: int, keep: Path, torn: bytes) -> None:
    """Cut a file down to a size; what is cut off goes to the end of another."""
    with keep.open("ab") as file:
        file.write(torn + b"\n")
    with path.open("r+b") as file:
        file.truncate(size)


def shorten(path: Path, size: int) -> None:
    """Take back what was added to a file, as far as that works; an empty file goes."""
    with contextlib.suppress(OSError):
        if not size and path.is_file():
            path.unlink(missing_ok=True)
            return
        with path.open("r+b") as file:
            file.truncate(size)


def sync(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk, where the system can."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def translated(error: OSError, root: Path) -> StoreUnavailable:
    """What an error of the system is called here."""
    where = error.filename or root
    if error.errno in _FULL:
        return StoreUnavailable(f"the disk of {root} is full ({error}); nothing was written")
    return StoreUnavailable(f"{where} cannot be read or written: {error}")


def _write(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def signed(found: os.stat_result) -> Signature:
    """What shows that a file has changed, of what the system says of it."""
    return Signature(found.st_ino, found.st_size, found.st_mtime_ns)
