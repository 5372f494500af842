"""Any LangGraph `BaseStore` as an engine: `LangGraphStore`."""

from threadloom.stores.langgraph.store import LangGraphStore, wrapped

__all__ = ["LangGraphStore", "wrapped"]
