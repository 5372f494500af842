"""Checkpoints of LangGraph graphs.

* `saver` - `StoreCheckpointer`, the public face.
* `writing`, `reading`, `upkeep` - what it does, as plans.
* `layout` - how checkpoints lie in the store.
* `values` - values as bytes.
"""

from threadloom.checkpoint.saver import StoreCheckpointer

__all__ = ["StoreCheckpointer"]
