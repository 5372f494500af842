"""Statements on the wire: values in PostgreSQL's binary format, one round trip each.

Below psycopg's cursors, so that what a connection is set up for (rows as mappings, transactions
that begin by themselves, adapters of types) makes no difference, and so that every wait has an end.
"""

from __future__ import annotations

import asyncio
import select
import struct
import time
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import psycopg
from psycopg import errors, pq

BOOL: Final = 16
BYTEA: Final = 17
INT8: Final = 20
INT2: Final = 21
TEXT: Final = 25
_ARRAYS = {BOOL: 1000, BYTEA: 1001, INT8: 1016, INT2: 1005, TEXT: 1009}
_INT8 = struct.Struct("!q").pack
_HEADER = struct.Struct("!iiiii").pack
_LENGTH = struct.Struct("!i").pack
_NULL = b"\xff\xff\xff\xff"

READ: Final = 1
WRITE: Final = 2
Wants = Literal[1, 3]


_FAREWELLS = ("57P01", "57P03", "57P05")
"""Said by a server that ends a connection in good order, or takes none yet."""


class Slow(Exception):
    """The server did not answer in time; what became of the statement is not known."""


class Lost(Exception):
    """The connection broke.

    Attributes:
        sent: whether the server may have got the statement.
    """

    def __init__(self, sent: bool) -> None:
        self.sent = sent


class Statement:
    """One SQL statement and its parameters.

    Attributes:
        sql: parts of its text.
        writes: whether it changes something.
        takes_long: whether it may take as long as what is stored is large.
    """

    __slots__ = ("sql", "takes_long", "types", "values", "writes")

    def __init__(self, sql: str = "", *, writes: bool = False, takes_long: bool = False) -> None:
        self.sql = sql
        self.values: list[bytes | None] = []
        self.types: list[int] = []
        self.writes = writes
        self.takes_long = takes_long

    def add(self, value: bytes | None, type: int) -> str:
        """Add a parameter; what stands for it in the text."""
        self.values.append(value)
        self.types.append(type)
        return f"${len(self.values)}"

    def number(self, value: int) -> str:
        """Add an integer of 64 bits."""
        return self.add(int8(value), INT8)

    def text(self, value: str | bytes) -> str:
        """Add a text."""
        return self.add(value if isinstance(value, bytes) else value.encode(), TEXT)

    def array(self, type: int, items: Sequence[bytes | None]) -> str:
        """Add an array of values of a type; null where all of them are."""
        if any(item is not None for item in items):
            return self.add(array(type, items), _ARRAYS[type])
        return self.add(None, _ARRAYS[type])

    def column(self, type: int, items: Sequence[Any]) -> str:
        """Add an argument of a function: an array; NULL where there is nothing in it but None.

        Args:
            type: of the items.
            items: of `INT8` integers, of all others bytes; or None.
        """
        if None in items:
            if items.count(None) == len(items):
                return "NULL"
            if type == INT8:
                items = [None if item is None else int8(item) for item in items]
            return self.add(array(type, items), _ARRAYS[type])
        if type == INT8:
            return self.add(_int8_items(items), _ARRAYS[type])
        return self.add(array(type, items), _ARRAYS[type])

    def whole_array(self, type: int, items: Sequence[bytes | None]) -> str:
        """Add an array of values of a type, also an empty one."""
        return self.add(array(type, items), _ARRAYS[type])


_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def int8(value: int) -> bytes:
    """An integer of 64 bits; a larger one becomes the largest."""
    return _INT8(max(_SMALLEST, min(value, _LARGEST)))


@lru_cache(maxsize=256)
def _packer(count: int) -> Callable[..., bytes]:
    return struct.Struct("!iiiii" + count * "iq").pack


def _int8_items(items: Sequence[int]) -> bytes:
    sized: list[int] = [8] * (2 * len(items))
    sized[1::2] = items
    try:
        return _packer(len(items))(1, 0, INT8, len(items), 1, *sized)
    except struct.error:  # a larger one becomes the largest
        return array(INT8, [int8(item) for item in items])


def array(type: int, items: Sequence[bytes | None]) -> bytes:
    """An array of one dimension."""
    parts = [_HEADER(1, 1, type, len(items), 1)]
    for item in items:
        if item is None:
            parts.append(_NULL)
        else:
            parts += (_LENGTH(len(item)), item)
    return b"".join(parts)


def int8_array(data: bytes) -> list[int | None]:
    """The integers of an array."""
    (dimensions,) = struct.unpack_from("!i", data)
    if not dimensions:
        return []
    (count,) = struct.unpack_from("!i", data, 12)
    found: list[int | None] = []
    at = 20
    for _ in range(count):
        (length,) = struct.unpack_from("!i", data, at)
        at += 4
        if length < 0:
            found.append(None)
        else:
            found.append(int.from_bytes(data[at : at + length], "big", signed=True))
            at += length
    return found


def exchange(
    connection: pq.abc.PGconn, statement: Statement
) -> Generator[Wants, None, pq.abc.PGresult]:
    """Send a statement and read its result; yields what to wait for.

    Raises:
        Lost: the connection broke.
        psycopg.Error: the server refused the statement.
    """
    sent = False
    first: pq.abc.PGresult | None = None
    found: pq.abc.PGresult | None = None
    try:
        count = len(statement.values)
        connection.send_query_params(
            statement.sql.encode(), statement.values, statement.types, [1] * count, 1
        )
        sent = True
        while connection.flush():
            yield 3
            connection.consume_input()
        while True:
            while connection.is_busy():
                yield 1
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                break
            first = first or result
            if found is None or _failed(result):
                found = result
    except psycopg.OperationalError as error:
        raise _lost(first, found, sent) from error
    if connection.status == pq.ConnStatus.BAD:
        raise _lost(first, found, True)
    if found is None:
        raise Lost(True)
    if _failed(found):
        raise errors.error_from_result(found)
    return found


def _lost(first: pq.abc.PGresult | None, found: pq.abc.PGresult | None, sent: bool) -> Lost:
    """What it means that a connection broke, after a first result and one to go by."""
    if first is None or found is None or not _failed(first):
        return Lost(sent)
    # Had it been done, its result would have come before the farewell.
    return Lost(errors.error_from_result(found).sqlstate not in _FAREWELLS)


def _failed(result: pq.abc.PGresult) -> bool:
    return result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


def send(connection: pq.abc.PGconn, statement: Statement, seconds: float) -> pq.abc.PGresult:
    """`exchange` on the calling thread.

    Raises:
        Slow: it took longer than `seconds`.
    """
    steps = exchange(connection, statement)
    poll = select.poll()
    number = connection.socket
    deadline = time.monotonic() + seconds
    try:
        wants = next(steps)
        while True:
            poll.register(number, select.POLLIN | (select.POLLOUT if wants & WRITE else 0))
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise Slow
            wants = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def asend(connection: pq.abc.PGconn, statement: Statement, seconds: float) -> pq.abc.PGresult:
    """`exchange` on the running event loop.

    Raises:
        Slow: it took longer than `seconds`.
    """
    steps = exchange(connection, statement)
    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + seconds
    number = connection.socket
    try:
        wants = next(steps)
        while True:
            ready = loop.create_future()
            loop.add_reader(number, _set, ready)
            if wants & WRITE:
                loop.add_writer(number, _set, ready)
            try:
                await asyncio.wait_for(ready, deadline - time.monotonic())
            except TimeoutError:
                raise Slow from None
            finally:
                loop.remove_reader(number)
                if wants & WRITE:
                    loop.remove_writer(number)
            wants = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def is_quiet(connection: pq.abc.PGconn) -> bool:
    """Whether an idle connection is as it should be: nothing came that nobody asked for.

    A server that ends a connection says so, or closes it; neither needs a round trip to see.
    """
    if connection.status != pq.ConnStatus.OK:
        return False
    poll = select.poll()
    poll.register(connection.socket, select.POLLIN)
    if poll.poll(0):
        try:
            connection.consume_input()
        except psycopg.OperationalError:
            return False
        return connection.status == pq.ConnStatus.OK and not poll.poll(0)
    return True
