"""`ThreadloomHistoryProvider`: an agent's messages as a session's history."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from agent_framework import (
    AgentSession,
    HistoryProvider,
    InMemoryHistoryProvider,
    Message,
    SessionContext,
    SupportsAgentRun,
    UsageDetails,
)
from langgraph.store.base import BaseStore

from threadloom import InvalidKey, SessionAdapter, SessionConflict, SessionManager, SessionStream
from threadloom_agent_framework.items import FRAMEWORK, HISTORY, item_of, message_of
from threadloom_agent_framework.showing import shows


class _Run(NamedTuple):
    """What is known of the run whose messages are being saved."""

    agent_name: str | None = None
    usage: UsageDetails | None = None


_NONE = _Run()
_RUN: ContextVar[_Run] = ContextVar("threadloom_agent_framework_run", default=_NONE)


class ThreadloomHistoryProvider(SessionAdapter, HistoryProvider):
    """The history of an agent's sessions, kept in Threadloom: give it to `context_providers`.

    The id of an `AgentSession` is the session's id in Threadloom. Several providers, agents and
    processes may share one: whoever saves looks at what is stored, and a transcript that is
    handed in once more is not stored twice, by the same rule as `InMemoryHistoryProvider`.

    Args:
        store: a session manager or a store, which stays its owner's, or a store's URL, which the
            provider opens and `aclose` closes.
        source_id: the provider's name among those of an agent.
        agent_name: of sessions that begin here; by default the name of the agent that runs.
        owner: of sessions that begin here.
        load_messages: whether the agent gets the history before a run.
        store_inputs: whether what the agent is asked is stored.
        store_context_messages: whether messages of other providers are stored.
        store_context_from: only those of these providers.
        store_outputs: whether the agent's answers are stored.
        skip_excluded: whether messages that compaction has excluded are left out when reading.

    Raises:
        InvalidKey: the URL makes no sense.
        StoreUnavailable: the store cannot be opened.
    """

    DEFAULT_SOURCE_ID = "threadloom"

    def __init__(
        self,
        store: SessionManager | BaseStore | str,
        *,
        source_id: str = DEFAULT_SOURCE_ID,
        agent_name: str | None = None,
        owner: str | None = None,
        load_messages: bool = True,
        store_inputs: bool = True,
        store_context_messages: bool = False,
        store_context_from: set[str] | None = None,
        store_outputs: bool = True,
        skip_excluded: bool = False,
    ) -> None:
        SessionAdapter.__init__(self, store)
        HistoryProvider.__init__(
            self,
            source_id,
            load_messages=load_messages,
            store_inputs=store_inputs,
            store_context_messages=store_context_messages,
            store_context_from=store_context_from,
            store_outputs=store_outputs,
        )
        self.agent_name, self.owner = agent_name, owner
        self.skip_excluded = skip_excluded

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        """The messages of a session, oldest first; none of one that does not exist.

        Raises:
            InvalidKey: there is no session id.
        """
        page = await self._stream(session_id).aread()
        messages = [message_of(item) for item in page.items]
        if self.skip_excluded:
            return [one for one in messages if not one.additional_properties.get("_excluded")]
        return messages

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Store those of the messages that are new, all or none; the session may begin here.

        Raises:
            InvalidKey: there is no session id.
            SessionConflict: the turn that this belongs to is over.
            SessionNotFound: the session does not exist and may not begin by itself.
            SerializationError: a message holds what cannot be stored.
        """
        if not messages:
            return
        stream, usage = self._stream(session_id), _RUN.get().usage
        while True:
            # A transcript ends with what is stored or begins with it: so much tells which.
            page = await stream.aread(limit=len(messages) + 1)
            new = await _new_among(messages, [message_of(item) for item in page.items])
            if not new:
                return
            try:
                await stream.aappend(_items(new, usage), expect=page.revision)
            except SessionConflict as error:
                if error.expected is None:
                    raise  # not because somebody else was faster
            else:
                return

    async def after_run(
        self,
        *,
        agent: SupportsAgentRun,
        session: AgentSession,
        context: SessionContext,
        state: dict[str, Any],
    ) -> None:
        """Store the messages of a run, as the flags say, and the tokens that it has used."""
        usage = context.response.usage_details if context.response else None
        token = _RUN.set(_Run(getattr(agent, "name", None), usage))
        try:
            await super().after_run(agent=agent, session=session, context=context, state=state)
        finally:
            _RUN.reset(token)

    def _stream(self, session_id: str | None) -> SessionStream:
        if session_id is None:
            # One conversation for all that have no id would show each the others' messages.
            raise InvalidKey("a history needs the id of its session, got None")
        return self.sessions.stream(
            session_id,
            HISTORY,
            shows=shows,
            framework=FRAMEWORK,
            agent_name=self.agent_name or _RUN.get().agent_name,
            owner=self.owner,
        )


async def _new_among(messages: Sequence[Message], stored: list[Message]) -> Sequence[Message]:
    """Those of the messages that the framework's own provider would store after others."""
    state: dict[str, Any] = {"messages": stored}
    await InMemoryHistoryProvider().save_messages(None, messages, state=state)
    saved: list[Message] = state["messages"]
    return saved[len(stored) :]


def _items(messages: Sequence[Message], usage: UsageDetails | None) -> list[dict[str, Any]]:
    """Messages as they are stored; the last answer says what the run has used."""
    answers = [at for at, message in enumerate(messages) if message.role == "assistant"]
    told = any(content.type == "usage" for message in messages for content in message.contents)
    last = answers[-1] if answers and not told else None
    return [item_of(message, usage if at == last else None) for at, message in enumerate(messages)]
