"""without.py URL ID FILE: what Threadloom does with a session where the SDK is not installed."""

import json
import sys


class Missing:
    """Finds none of what the adapter needs."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in ("agents", "openai", "threadloom_openai_agents"):
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Missing())

from threadloom import SessionManager

url, id, file = sys.argv[1:]
with SessionManager(url) as sessions:
    (info,) = sessions.list_sessions(framework="openai-agents", agent_name="guide")
    fork = sessions.fork_session(id, messages=3)
    sessions.rewind_session(id, messages=2)
    sessions.export_sessions(file, [id])
    found = {
        "id": info.id,
        "fork": fork.id,
        "count": info.message_count,
        "found": [match.session.id for match in sessions.search_sessions("rain")],
        "shown": [message.type for message in sessions.messages(id)],
        "problems": [str(problem) for problem in sessions.check().problems],
        "imported": sorted(name for name in sys.modules if name.split(".")[0] == "agents"),
    }
print(json.dumps(found))
