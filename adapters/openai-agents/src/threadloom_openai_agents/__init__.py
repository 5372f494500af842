"""Sessions of the OpenAI Agents SDK, kept in Threadloom.

>>> from threadloom import SessionManager
>>> from threadloom_openai_agents import ThreadloomSession
>>> sessions = SessionManager("memory://")
>>> session = ThreadloomSession("oslo", sessions, agent_name="guide")

It is what ``Runner.run(agent, "Hi", session=session)`` takes. `to_items` turns the messages of any
of Threadloom's sessions into items that such a session goes on with.
"""

from threadloom_openai_agents.items import to_items
from threadloom_openai_agents.session import FRAMEWORK, ThreadloomSession
from threadloom_openai_agents.showing import shows

__all__ = ["FRAMEWORK", "ThreadloomSession", "shows", "to_items"]
