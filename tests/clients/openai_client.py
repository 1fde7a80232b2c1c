"""The official openai client against a server with one document."""

import os
import sys

import openai

QUESTION = "Who wrote the Maple Leaf Rag?"
QUOTE = "Scott Joplin wrote the Maple Leaf Rag in 1899."

server, key, with_model = os.environ["SERVER"], os.environ["KEY"], sys.argv[1:] == ["model"]
client = openai.OpenAI(base_url=f"{server}/v1", api_key=key, max_retries=0)


def chat(**options):
    messages = options.pop("messages", [{"role": "user", "content": QUESTION}])
    model = options.pop("model", "ragtime/default")
    return client.chat.completions.create(model=model, messages=messages, **options)


def raises(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.code == code, (error.code, error)
        assert isinstance(error.body["message"], str) and error.body["message"], error.body
    else:
        raise AssertionError(f"no {kind.__name__}")


def whole():
    completion = chat(temperature=0.1, max_tokens=100)
    message = completion.choices[0].message
    assert "Scott Joplin" in message.content, completion
    assert [citation["quote"] for citation in message.citations] == [QUOTE], completion
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def streamed():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == chat().choices[0].message.content, text
    assert len({chunk.id for chunk in chunks}) == 1
    last = [chunk.choices[0] for chunk in chunks if chunk.choices][-1]
    assert last.finish_reason == "stop"
    assert [citation["quote"] for citation in last.delta.citations] == [QUOTE], last
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens >= 0


def a_conversation():
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Who wrote the Maple Leaf Rag?"},
        {"role": "assistant", "content": "Scott Joplin."},
        {"role": "user", "content": [{"type": "text", "text": "Did Scott Joplin write the Maple Leaf Rag?"}]},
    ]
    assert "1899" in chat(messages=messages).choices[0].message.content


def nothing_found():
    completion = chat(messages=[{"role": "user", "content": "xylophone zebra quarks"}])
    message = completion.choices[0].message
    assert message.abstained is True and message.content and message.citations == [], completion


def models():
    names = [model.id for model in client.models.list()]
    assert names[0] == "ragtime/default" and ("all-MiniLM-L6-v2" in names) == with_model, names
    assert client.models.retrieve("ragtime/default").owned_by == "ragtime"
    raises(openai.NotFoundError, "unknown_model", lambda: client.models.retrieve("gpt-4o"))


def errors():
    raises(openai.NotFoundError, "unknown_model", lambda: chat(model="ragtime/none"))
    raises(openai.UnprocessableEntityError, "validation_failed", lambda: chat(messages=[]))
    stranger = openai.OpenAI(base_url=f"{server}/v1", api_key="rt_x_y", max_retries=0)
    raises(openai.AuthenticationError, "invalid_credential", stranger.models.list)


def embeddings():
    make = client.embeddings.create
    if not with_model:
        raises(openai.InternalServerError, "embedding_unavailable",
               lambda: make(model="all-MiniLM-L6-v2", input="rag"))
        return
    by_default = make(model="all-MiniLM-L6-v2", input=["a steady march", "a rag"])
    floats = make(model="all-MiniLM-L6-v2", input="a rag", encoding_format="float")
    assert [one.index for one in by_default.data] == [0, 1] and by_default.usage.prompt_tokens > 0
    pairs = list(zip(by_default.data[1].embedding, floats.data[0].embedding, strict=True))
    assert len(pairs) == 384 and all(abs(a - b) < 1e-3 for a, b in pairs)
    raises(openai.NotFoundError, "unknown_model", lambda: make(model="ada", input="a"))


for check in (whole, streamed, a_conversation, nothing_found, models, errors, embeddings):
    check()
    print(f"{check.__name__}: ok")
