"""A LangChain chain remembers a conversation: sessions.memory is its message history."""

import asyncio
import warnings

from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from threadloom import SessionManager

prompt = ChatPromptTemplate.from_messages(
    [("system", "You are terse."), MessagesPlaceholder("history"), ("human", "{question}")]
)
model = FakeListChatModel(responses=["A rain jacket.", "Yes, wool ones."])

with SessionManager("sqlite:///sessions.db") as sessions:
    packing = sessions.create_session(name="Packing", owner="ana")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # langchain-core announces a successor of this class
        chain = RunnableWithMessageHistory(
            prompt | model,
            sessions.memory,
            input_messages_key="question",
            history_messages_key="history",
        )

    chain.invoke({"question": "What do I pack for Oslo?"}, packing.config)
    asyncio.run(chain.ainvoke({"question": "And socks?"}, packing.config))

    for message in sessions.memory.load(packing):
        print(f"{message.type}: {message.text}")
    print("the last one only:", sessions.memory.load(packing, limit=1)[0].text)
    print("messages:", sessions.get_session(packing).message_count)
