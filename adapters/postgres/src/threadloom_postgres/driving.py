"""Work on one connection: its statements sent, on a thread or on an event loop, and what may fail.

`Failed` says of a failure what it means for a write, so that the pools decide alike.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import pq

from threadloom_postgres.wire import Lost, Slow, Statement, asend, send

Work = Generator[Statement, pq.abc.PGresult, Any]
_IDLE = pq.TransactionStatus.IDLE


class Failed(Exception):
    """The connection is of no use any more.

    Attributes:
        unknown: whether a write may have been done.
        writes: whether it was one.
        slow: whether the answer did not come in time.
    """

    def __init__(self, *, unknown: bool, writes: bool, slow: bool) -> None:
        self.unknown = unknown
        self.writes = writes
        self.slow = slow


def drive(connection: pq.abc.PGconn, work: Work, seconds: float) -> Any:
    """Send what work yields, and roll back what it leaves behind when it fails.

    Raises:
        Failed: the connection broke, or was given up.
        psycopg.Error: the server refused a statement, and the work did not expect it.
    """
    try:
        try:
            statement = next(work)
            while True:
                alone = connection.transaction_status == _IDLE
                try:
                    result = send(connection, statement, _patience(statement, seconds))
                except (Lost, Slow) as error:
                    raise _failed(error, statement, alone=alone) from error.__cause__
                except psycopg.Error as error:
                    statement = work.throw(error)
                else:
                    statement = work.send(result)
        except StopIteration as stop:
            return stop.value
    except BaseException:
        work.close()
        if _is_in_transaction(connection):
            try:
                send(connection, Statement("ROLLBACK"), seconds)
            except (Lost, Slow, psycopg.Error):
                connection.finish()
        elif connection.transaction_status != _IDLE:
            connection.finish()
        raise


async def adrive(connection: pq.abc.PGconn, work: Work, seconds: float) -> Any:
    """`drive` on the running event loop."""
    try:
        try:
            statement = next(work)
            while True:
                alone = connection.transaction_status == _IDLE
                try:
                    result = await asend(connection, statement, _patience(statement, seconds))
                except (Lost, Slow) as error:
                    raise _failed(error, statement, alone=alone) from error.__cause__
                except psycopg.Error as error:
                    statement = work.throw(error)
                else:
                    statement = work.send(result)
        except StopIteration as stop:
            return stop.value
    except BaseException:
        work.close()
        if _is_in_transaction(connection):
            try:
                await asend(connection, Statement("ROLLBACK"), seconds)
            except (Lost, Slow, psycopg.Error):
                connection.finish()
        elif connection.transaction_status != _IDLE:
            connection.finish()
        raise


_LONG = 4 * 3600.0
"""Seconds for what takes long."""


def _patience(statement: Statement, seconds: float) -> float:
    return max(seconds, _LONG) if statement.takes_long else seconds


def _failed(error: Lost | Slow, statement: Statement, *, alone: bool) -> Failed:
    slow = isinstance(error, Slow)
    sent = isinstance(error, Slow) or error.sent
    commits = statement.writes and (alone or statement.sql == "COMMIT")
    return Failed(unknown=sent and commits, writes=statement.writes, slow=slow)


def _is_in_transaction(connection: pq.abc.PGconn) -> bool:
    return connection.transaction_status in (
        pq.TransactionStatus.INTRANS,
        pq.TransactionStatus.INERROR,
    )
