"""Checkpoints of LangGraph graphs.

* `saver` - `StoreCheckpointer`, the public face.
* `writing`, `reading`, `upkeep` - what it does, as plans.
* `life` - whether a late write belongs to a life that has ended.
* `head_messages` - the messages of a graph's newest checkpoint.
* `layout` - how checkpoints lie in the store.
"""

from threadloom.checkpoint.saver import StoreCheckpointer

__all__ = ["StoreCheckpointer"]
