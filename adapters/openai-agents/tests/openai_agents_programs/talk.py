"""talk.py URL ID TEXT: an agent answers in a session; prints its answer and what the model saw."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents import Runner

from openai_agents_fakes import guide
from threadloom_openai_agents import ThreadloomSession


async def main(url: str, id: str, text: str) -> None:
    agent, model = guide()
    async with ThreadloomSession(id, url, agent_name="guide") as session:
        result = await Runner.run(agent, text, session=session)
    print(json.dumps({"said": result.final_output, "seen": model.seen}))


asyncio.run(main(*sys.argv[1:]))
