"""Moving sessions over from what an application used before.

* `migrate_langgraph` - threads of LangGraph's savers and items of its stores.
* `base` - what is read of them; `sources` - opening one by its path or URL; `source` - the file of
  the SQLite savers, which is never changed. Adapters bring others.
* `ordering` - which checkpoint comes after which.
* `decoding` - stored values as objects, of classes that may be built here only.
* `transfer` - one thread; `walking` - one of its namespaces; `memory` - items.
* `sampling` - what a migration would take up.
"""

from threadloom.migrate.reports import MigrationReport, Progress, ThreadReport
from threadloom.migrate.running import migrate_langgraph

__all__ = ["MigrationReport", "Progress", "ThreadReport", "migrate_langgraph"]
