"""A day's work of LangChain's OpenAI integration."""

import asyncio
import os
import sys

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

QUESTION = "Who wrote the Maple Leaf Rag?"
AGAIN = "When did Scott Joplin write the Maple Leaf Rag?"
AT = {"base_url": f"{os.environ['SERVER']}/v1", "api_key": os.environ["KEY"], "max_retries": 0}


@tool
def weather(place: str) -> str:
    """The weather of a place."""
    return f"sunny in {place}"


def a_chain():
    llm = ChatOpenAI(model="ragtime/default", temperature=0, **AT)
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
    chain = prompt | llm | StrOutputParser()
    assert "Scott Joplin" in chain.invoke({"question": QUESTION})
    both = chain.batch([{"question": QUESTION}, {"question": AGAIN}])
    assert "Joplin" in both[0] and "1899" in both[1], both


def a_conversation():
    llm = ChatOpenAI(model="ragtime/default", max_tokens=200, stop=["###"], seed=1, n=1, **AT)
    messages = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    first = llm.invoke(messages)
    assert first.usage_metadata["total_tokens"] >= 0, first
    assert first.response_metadata["finish_reason"] == "stop", first
    messages += [first, HumanMessage([{"type": "text", "text": AGAIN}])]
    assert "1899" in llm.invoke(messages).content
    # An agent's turns: a call of a tool and its answer.
    called = AIMessage("", tool_calls=[{"name": "weather", "args": {"place": "Sedalia"}, "id": "call_1"}])
    messages += [called, ToolMessage("sunny", tool_call_id="call_1"), HumanMessage(QUESTION)]
    answer = llm.bind_tools([weather]).invoke(messages)
    assert "Joplin" in answer.content and not answer.tool_calls, answer


def streams():
    llm = ChatOpenAI(model="ragtime/default", stream_usage=True, **AT)
    whole = None
    for chunk in llm.stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    assert whole.content == llm.invoke(QUESTION).content, whole
    assert whole.usage_metadata and whole.response_metadata["finish_reason"] == "stop", whole

    async def parts():
        return [part.content async for part in llm.astream(QUESTION)]

    assert "".join(asyncio.run(parts())) == whole.content


def responses():
    llm = ChatOpenAI(model="ragtime/default", use_responses_api=True, **AT)
    search = llm.bind_tools([{"type": "file_search", "vector_store_ids": ["vs_default"]}, weather])
    messages = [HumanMessage(QUESTION)]
    first = search.invoke(messages)
    assert "Scott Joplin" in first.text, first
    [annotation] = [a for block in first.content if isinstance(block, dict) for a in block.get("annotations", [])]
    assert annotation["file_id"] == "joplin", annotation
    messages += [first, HumanMessage(AGAIN)]
    assert "1899" in search.invoke(messages).text
    whole = None
    for chunk in search.stream(messages):
        whole = chunk if whole is None else whole + chunk
    assert "1899" in whole.text and whole.usage_metadata["total_tokens"] > 0, whole


def embeddings():
    options = {"model": "all-MiniLM-L6-v2", **AT}
    plain = OpenAIEmbeddings(check_embedding_ctx_length=False, **options)
    assert len(plain.embed_query("a rag")) == 384
    store = InMemoryVectorStore.from_texts(["Lift holds an aircraft up.", "A rag is a dance."], plain)
    assert store.similarity_search("What is a rag?", k=1)[0].page_content == "A rag is a dance."
    sized = OpenAIEmbeddings(check_embedding_ctx_length=False, dimensions=384, chunk_size=1, **options)
    assert len(sized.embed_documents(["a", "b"])) == 2


def errors():
    for kind, change in (
        (openai.AuthenticationError, {"api_key": "rt_x_y"}),
        (openai.NotFoundError, {"model": "ragtime/none"}),
        (openai.BadRequestError, {"n": 2}),
    ):
        try:
            ChatOpenAI(**{"model": "ragtime/default", **AT, **change}).invoke(QUESTION)
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")


for check in (a_chain, a_conversation, streams, responses, embeddings, errors):
    check()
    print(f"{check.__name__}: ok", file=sys.stderr)
