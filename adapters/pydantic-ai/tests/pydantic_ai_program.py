"""What the tests run in other processes: ``pydantic_ai_program.py COMMAND URL ID …``."""

from __future__ import annotations

import asyncio
import itertools
import sys

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict

from pydantic_ai_fakes import make_agent, says, take_turn, user
from threadloom_pydantic_ai import ThreadloomConversationStore, ThreadloomMessageHistory

BATCH = 5


async def turn(url: str, id: str, prompt: str) -> None:
    """One turn of an agent, in a conversation store."""
    async with ThreadloomConversationStore(url, agent_name="guide") as store:
        print(await take_turn(store, id, prompt))


async def ask(url: str, id: str, prompt: str) -> None:
    """One turn of an agent, with a message history."""
    async with ThreadloomMessageHistory(id, url) as history:
        result = await make_agent().run(prompt, message_history=await history.aload())
        await history.aappend(result.new_messages())
        print(result.output)


async def save(url: str, id: str, name: str, count: str) -> None:
    """Save as often as asked for; whoever was too late tries again."""
    async with ThreadloomConversationStore(url) as store:
        for number in range(int(count)):
            while True:
                conversation = await store.load(id) or Conversation(conversation_id=id)
                text = f"{name}.{number}"
                conversation.messages += [user(text), says(text)]
                try:
                    await store.save(conversation)
                except ConversationConflict:
                    continue
                break


async def add(url: str, id: str, name: str, count: str) -> None:
    """Append as often as asked for."""
    async with ThreadloomMessageHistory(id, url) as history:
        for number in range(int(count)):
            text = f"{name}.{number}"
            await history.aappend([user(text), says(text)])


async def endless(url: str, id: str) -> None:
    """Save and append batches, and say after each how many are stored, until somebody kills it."""
    async with ThreadloomConversationStore(url) as store:
        history = ThreadloomMessageHistory(f"{id} plain", store.sessions)
        conversation = await store.load(id) or Conversation(conversation_id=id)
        begun = len(conversation.messages) // BATCH
        for number in itertools.count(begun):
            batch = [user(f"{number}.{part}") for part in range(BATCH)]
            conversation.messages += batch
            await store.save(conversation)
            await history.aappend(batch)
            print(number + 1, flush=True)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    asyncio.run(globals()[command](*arguments))
