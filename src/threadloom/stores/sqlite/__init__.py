"""`SQLiteStore`: the whole port in one SQLite file.

* `schema` - what is in the file: tables, format version, migrations.
* `connections` - opening, sharing and closing connections, also around a fork.
* `statements` - one operation of the port as SQL.
* `listing` - the index of sessions.
* `search` - the full-text index and how it is fed.
* `store` - the store itself: transactions, errors, the asynchronous side.
"""

from threadloom.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
