"""Sessions of the Microsoft Agent Framework, kept in Threadloom.

`ThreadloomHistoryProvider` keeps the messages of agents, `ThreadloomAgentSessionStore` whole
`AgentSession` snapshots.
"""

from typing import TYPE_CHECKING, Any

from threadloom_agent_framework.history import ThreadloomHistoryProvider
from threadloom_agent_framework.items import FRAMEWORK
from threadloom_agent_framework.showing import shows

if TYPE_CHECKING:
    from threadloom_agent_framework.snapshots import ThreadloomAgentSessionStore

__all__ = ["FRAMEWORK", "ThreadloomAgentSessionStore", "ThreadloomHistoryProvider", "shows"]


def __getattr__(name: str) -> Any:
    # Session stores are experimental in the framework, which warns as soon as a class of ours
    # stands on its own: only those who use one are to be told.
    if name == "ThreadloomAgentSessionStore":
        from threadloom_agent_framework.snapshots import ThreadloomAgentSessionStore

        return ThreadloomAgentSessionStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
