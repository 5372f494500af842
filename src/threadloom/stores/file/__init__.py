"""`FileStore`: the whole port in a folder of JSON Lines that people can read.

* `places` - folders and names, from partitions.
* `lines` - one batch as a line of JSON with a checksum.
* `files` - bytes in and out, whole or not at all.
* `journal` - the lines of one journal, and the records that they leave behind.
* `cache` - journals that were read.
* `folder` - the folder: its mark, its journals, the marks of what has changed.
* `locks` - between threads and between processes.
* `keeper` - reading, writing, compacting and mending journals.
* `table`, `queries`, `index` - the index over all journals: what is in it, what it answers, how
  it is kept true.
* `routing` - which journals a batch touches.
* `store` - the store itself: batches, errors, the asynchronous side.
"""

from threadloom.stores.file.store import FileStore

__all__ = ["FileStore"]
