"""Moving sessions over from what an application used before.

* `migrate_sqlite` - the threads of LangGraph's `SqliteSaver` and `AsyncSqliteSaver`.
* `source` - reading such a database, which is never changed.
* `ordering` - which checkpoint comes after which.
* `decoding` - stored values as objects, of classes that may be built here only.
* `transfer` - one thread.
* `sampling` - what a migration would take up.
"""

from threadloom.migrate.reports import MigrationReport, Progress, ThreadReport
from threadloom.migrate.sqlite import migrate_sqlite

__all__ = ["MigrationReport", "Progress", "ThreadReport", "migrate_sqlite"]
