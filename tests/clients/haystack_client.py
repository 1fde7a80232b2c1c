"""A day's work of Haystack with its OpenAI components."""

import os
import sys

import openai
from haystack import Document, Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.tools import tool
from haystack.utils import Secret

QUESTION = "Who wrote the Maple Leaf Rag?"
AGAIN = "When did Scott Joplin write the Maple Leaf Rag?"
KEY = Secret.from_env_var("KEY")
AT = {"api_base_url": f"{os.environ['SERVER']}/v1", "api_key": KEY, "max_retries": 0}
MODEL = "all-MiniLM-L6-v2"


@tool
def weather(place: str) -> str:
    """The weather of a place."""
    return f"sunny in {place}"


def chats():
    generator = OpenAIChatGenerator(model="ragtime/default", tools=[weather], generation_kwargs={"max_tokens": 200}, **AT)
    messages = [ChatMessage.from_system("Be brief."), ChatMessage.from_user(QUESTION)]
    [first] = generator.run(messages)["replies"]
    assert "Scott Joplin" in first.text and first.meta["finish_reason"] == "stop", first
    assert first.meta["usage"]["total_tokens"] >= 0, first
    messages += [first, ChatMessage.from_user(AGAIN)]
    [second] = generator.run(messages)["replies"]
    assert "1899" in second.text, second
    parts = []
    [streamed] = generator.run(messages, streaming_callback=parts.append)["replies"]
    assert streamed.text == second.text == "".join(part.content for part in parts), streamed


def responds():
    generator = OpenAIResponsesChatGenerator(model="ragtime/default", **AT)
    messages = [ChatMessage.from_system("Be brief."), ChatMessage.from_user(QUESTION)]
    [first] = generator.run(messages)["replies"]
    assert "Scott Joplin" in first.text, first
    messages += [first, ChatMessage.from_user(AGAIN)]
    [second] = generator.run(messages)["replies"]
    assert "1899" in second.text, second
    parts = []
    [streamed] = generator.run(messages, streaming_callback=parts.append)["replies"]
    assert streamed.text == second.text, streamed


def a_pipeline():
    store = InMemoryDocumentStore()
    documents = [Document(content="Lift holds an aircraft up."), Document(content="Scott Joplin wrote rags.")]
    embedded = OpenAIDocumentEmbedder(model=MODEL, progress_bar=False, **AT).run(documents)
    store.write_documents(embedded["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embed", OpenAITextEmbedder(model=MODEL, dimensions=384, **AT))
    pipeline.add_component("retrieve", InMemoryEmbeddingRetriever(store, top_k=1))
    template = [ChatMessage.from_user("{% for d in documents %}{{ d.content }}{% endfor %}\n\n{{ question }}")]
    pipeline.add_component("prompt", ChatPromptBuilder(template, required_variables=["question", "documents"]))
    pipeline.add_component("answer", OpenAIChatGenerator(model="ragtime/default", **AT))
    pipeline.connect("embed.embedding", "retrieve.query_embedding")
    pipeline.connect("retrieve.documents", "prompt.documents")
    pipeline.connect("prompt.prompt", "answer.messages")
    result = pipeline.run({"embed": {"text": "Who wrote rags?"}, "prompt": {"question": QUESTION}})
    assert "Joplin" in result["answer"]["replies"][0].text, result


def errors():
    for kind, change in (
        (openai.AuthenticationError, {"api_key": Secret.from_token("rt_x_y")}),
        (openai.NotFoundError, {"model": "ragtime/none"}),
    ):
        try:
            OpenAIChatGenerator(**{"model": "ragtime/default", **AT, **change}).run([ChatMessage.from_user(QUESTION)])
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")


for check in (chats, responds, a_pipeline, errors):
    check()
    print(f"{check.__name__}: ok", file=sys.stderr)
