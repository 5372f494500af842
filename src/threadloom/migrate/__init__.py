"""Moving sessions over from what an application used before.

* `migrate_langgraph` - threads of LangGraph's savers and items of its stores.
* `migrate_histories` - what LangChain's chat message histories have stored.
* `base`, `conversations` - what is read of them; `sources` - opening one by its path or URL.
  `files` - databases in files, which are never changed: `source` - of the SQLite savers, `tables` -
  of `SQLChatMessageHistory`; `folders` - of `FileChatMessageHistory`. Adapters bring others.
* `steering`, `carrying` - how a migration goes, whatever it brings over; `target` - where to.
* `ordering` - which checkpoint comes after which.
* `decoding` - stored values as objects, of classes that may be built here only.
* `transfer` - one thread; `walking` - one of its namespaces; `memory` - items.
* `appending` - one history; `rebuilding` - its messages.
* `sampling` - what a migration would take up.
"""

from threadloom.migrate.histories import migrate_histories
from threadloom.migrate.reports import MigrationReport, Progress, ThreadReport
from threadloom.migrate.running import migrate_langgraph

__all__ = [
    "MigrationReport",
    "Progress",
    "ThreadReport",
    "migrate_histories",
    "migrate_langgraph",
]
