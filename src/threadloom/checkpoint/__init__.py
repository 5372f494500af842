"""Checkpoints of LangGraph graphs.

* `saver` - `StoreCheckpointer`, the public face.
* `writing`, `reading`, `upkeep` - what it does, as plans.
* `layout`, `header` - how checkpoints lie in the store, and what their records hold.
* `channels` - how values of channels are stored and read: inline, apart, or as
  `spans` of logs, whose `elements` are records; `changes` finds what is new in them.
* `frozen`, `cache` - elements as a process remembers them, handed out as copies.
* `conversation`, `shown`, `head_messages` - the messages at the head: counts, search, reading.
* `namespaces`, `trail`, `graph_state`, `travel`, `adding` - graph state read whole or backwards,
  forks and rewinds, edits from outside.
* `tree`, `growth`, `differences`, `plain_reading` - for those who look, types left opaque.
* `life` - whether a late write belongs to a life that has ended.
"""

from threadloom.checkpoint.saver import StoreCheckpointer
from threadloom.checkpoint.upkeep import compact

__all__ = ["StoreCheckpointer", "compact"]
