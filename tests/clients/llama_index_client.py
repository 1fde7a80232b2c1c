"""A day's work of LlamaIndex with its models that are like OpenAI's."""

import asyncio
import os
import sys

import openai
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

QUESTION = "Who wrote the Maple Leaf Rag?"
AGAIN = "When did Scott Joplin write the Maple Leaf Rag?"
AT = {"api_base": f"{os.environ['SERVER']}/v1", "api_key": os.environ["KEY"], "max_retries": 0}
EMBED = OpenAILikeEmbedding(model_name="all-MiniLM-L6-v2", **AT)


def llm(**options):
    return OpenAILike(**{"model": "ragtime/default", "is_chat_model": True, "context_window": 8192, **AT, **options})


def chats():
    model = llm(temperature=0.1, max_tokens=200)
    messages = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=QUESTION)]
    first = model.chat(messages).message
    assert "Scott Joplin" in first.content, first
    messages += [first, ChatMessage(role="user", content=AGAIN)]
    assert "1899" in model.chat(messages).message.content
    parts = list(model.stream_chat(messages))
    assert parts[-1].message.content == model.chat(messages).message.content, parts
    assert "1899" in asyncio.run(model.achat(messages)).message.content


def completes():
    """By `/v1/chat/completions`, and by the older `/v1/completions`, which is its default."""
    for chat in (True, False):
        model = llm(is_chat_model=chat)
        assert "Scott Joplin" in model.complete(QUESTION).text, chat
        whole = list(model.stream_complete(QUESTION))[-1].text
        assert whole == model.complete(QUESTION).text, (chat, whole)


def embeds():
    assert len(EMBED.get_text_embedding("a rag")) == 384
    assert len(EMBED.get_text_embedding_batch(["a", "b", "c"])) == 3
    assert len(asyncio.run(EMBED.aget_query_embedding("a"))) == 384


def an_index():
    documents = [Document(text="Lift holds an aircraft up."), Document(text="Scott Joplin wrote rags.")]
    index = VectorStoreIndex.from_documents(documents, embed_model=EMBED)
    [best] = index.as_retriever(similarity_top_k=1).retrieve("Who wrote rags?")
    assert "Joplin" in best.node.get_content(), best
    answer = index.as_query_engine(llm=llm(), similarity_top_k=1).query(QUESTION)
    assert str(answer), answer
    chat = index.as_chat_engine(chat_mode="condense_plus_context", llm=llm())
    assert str(chat.chat(QUESTION)) and str(chat.chat(AGAIN))


def errors():
    for kind, change in (
        (openai.AuthenticationError, {"api_key": "rt_x_y"}),
        (openai.NotFoundError, {"model": "ragtime/none"}),
    ):
        try:
            llm(**change).chat([ChatMessage(role="user", content=QUESTION)])
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")


for check in (chats, completes, embeds, an_index, errors):
    check()
    print(f"{check.__name__}: ok", file=sys.stderr)
