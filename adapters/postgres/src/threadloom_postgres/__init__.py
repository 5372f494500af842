"""Threadloom on PostgreSQL: `PostgresStore`, and ``postgresql://`` for `threadloom.open_store`.

* `options` - what a URL and arguments say.
* `schema` - schema and tables (`format_1.sql`), and the number of their format.
* `places`, `documents` - what the tables hold of a place, a document and a text.
* `wire` - one statement and its answer; `driving` - the statements of a piece of work.
* `reads`, `usual`, `writes`, `rows`, `batches` - operations as statements, and their results.
* `pools`, `failures` - connections, what is tried again, and what is raised.
* `store` - the store itself.
"""

from threadloom_postgres.store import PostgresStore

__all__ = ["PostgresStore"]
