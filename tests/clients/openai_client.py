"""The official openai client, of any version, against a server with one document."""

import inspect
import os
import sys
import typing

import openai

QUESTION = "Who wrote the Maple Leaf Rag?"
QUOTE = "Scott Joplin wrote the Maple Leaf Rag in 1899."

server, key, with_model = os.environ["SERVER"], os.environ["KEY"], sys.argv[1:] == ["model"]
client = openai.OpenAI(base_url=f"{server}/v1", api_key=key, max_retries=0)
# The very first version looks for it beside `error`, where nobody has it.
NAMES_PARAM = openai.__version__ != "1.0.0"


def chat(**options):
    messages = options.pop("messages", [{"role": "user", "content": QUESTION}])
    model = options.pop("model", "ragtime/default")
    return create(client.chat.completions.create, model=model, messages=messages, **options)


def create(call, **options):
    """Parameters that this version of the client does not know go into the body as they are."""
    known = inspect.signature(call).parameters
    body = {**options.pop("extra_body", {}), **{k: v for k, v in options.items() if k not in known}}
    return call(**{k: v for k, v in options.items() if k in known}, extra_body=body)


def raises(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.code == code, (error.code, error)
        # The first version has no body of an error.
        message = getattr(error, "body", {"message": error.message})["message"]
        assert isinstance(message, str) and message, error
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
    assert chunks[-1].choices == [] and dict(chunks[-1].usage)["total_tokens"] >= 0


def a_conversation():
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Who wrote the Maple Leaf Rag?"},
        {"role": "assistant", "content": "Scott Joplin."},
        {"role": "user", "content": [{"type": "text", "text": "Did Scott Joplin write the Maple Leaf Rag?"}]},
    ]
    assert "1899" in chat(messages=messages).choices[0].message.content


def messages_as_they_come_back():
    messages = [{"role": "user", "content": "Who wrote the Maple Leaf Rag?"}]
    messages.append(chat(messages=messages).choices[0].message)
    messages.append({"role": "user", "content": "When did Scott Joplin write the Maple Leaf Rag?"})
    assert "1899" in chat(messages=messages).choices[0].message.content
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x " * 50_000},
    ]
    messages += [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "Yes."}] * 500
    messages.append({"role": "user", "content": QUESTION})
    completion = chat(
        messages=messages, n=1, tools=[], tool_choice="auto", logprobs=False,
        response_format={"type": "text"}, parallel_tool_calls=True, service_tier="auto",
        extra_query={"api-version": "2024-10-21"}, extra_body={"store": False, "unheard_of": 1},
    )
    assert completion.choices[0].message.content, completion


def texts():
    made = client.completions.create(model="ragtime/default", prompt=QUESTION, max_tokens=200, temperature=0)
    assert "Scott Joplin" in made.choices[0].text and made.choices[0].finish_reason == "stop", made
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens, made
    pieces = list(client.completions.create(model="ragtime/default", prompt=[QUESTION], stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == made.choices[0].text, pieces
    assert pieces[-1].choices[0].finish_reason == "stop", pieces[-1]
    try:
        client.completions.create(model="ragtime/default", prompt=["a", "b"])
    except openai.BadRequestError as error:
        assert error.param == "prompt" or not NAMES_PARAM, error
    else:
        raise AssertionError("two prompts")


def spent():
    """The client raises its own exception for a key whose budget is spent."""
    made = client.with_options(base_url=server).post(
        "/v1/keys", body={"name": "short", "scopes": ["read"], "burst": 4, "rate_per_minute": 1},
        cast_to=typing.Dict[str, object],
    )
    short = openai.OpenAI(base_url=f"{server}/v1", api_key=made["credential"], max_retries=0)
    ask = lambda: short.chat.completions.create(
        model="ragtime/default", messages=[{"role": "user", "content": QUESTION}]
    )
    ask()
    raises(openai.RateLimitError, "rate_limited", ask)


def as_long_as_wanted():
    short = chat(max_tokens=2)
    assert short.choices[0].finish_reason == "length", short
    assert short.usage.completion_tokens == 2 and len(short.choices[0].message.content) < 20, short
    chunks = list(chat(max_tokens=2, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == short.choices[0].message.content and chunks[-1].choices[0].finish_reason == "length"


def responses():
    if not hasattr(client, "responses"):
        return
    response = client.responses.create(model="ragtime/default", input=QUESTION)
    assert "Scott Joplin" in response.output_text and response.status == "completed", response
    [annotation] = response.output[0].content[0].annotations
    assert (annotation.type, annotation.file_id) == ("file_citation", "joplin"), annotation
    assert annotation.index == len(response.output_text), annotation
    turns = [{"role": "user", "content": QUESTION}] + response.output
    turns.append({"role": "user", "content": "Did Scott Joplin write the Maple Leaf Rag?"})
    tool = {"type": "file_search", "vector_store_ids": ["vs_default"], "max_num_results": 3}
    events = list(client.responses.create(
        model="gpt-4o", input=turns, tools=[tool], include=["file_search_call.results"], stream=True,
        instructions="Be brief.",
    ))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"], kinds
    assert "response.file_search_call.completed" in kinds, kinds
    assert "response.output_text.annotation.added" in kinds, kinds
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert kinds[-1] == "response.completed" and events[-1].response.output_text == text, kinds
    assert events[-1].response.output[0].results[0].file_id == "joplin", events[-1]
    short = client.responses.create(model="ragtime/default", input=QUESTION, max_output_tokens=2)
    assert short.incomplete_details.reason == "max_output_tokens", short
    try:
        client.responses.create(model="ragtime/default", input="x", previous_response_id="resp_1")
    except openai.BadRequestError as error:
        assert error.param == "previous_response_id", error
    else:
        raise AssertionError("a response that is not kept was gone on from")


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
    raises(openai.BadRequestError, "invalid_value", lambda: chat(messages=[]))
    for name, value in (("n", 2), ("tool_choice", "required"), ("logprobs", True)):
        try:
            chat(**{name: value})
        except openai.BadRequestError as error:
            assert (error.param == name or not NAMES_PARAM) and name in error.message, error
        else:
            raise AssertionError(name)
    stranger = openai.OpenAI(base_url=f"{server}/v1", api_key="rt_x_y", max_retries=0)
    raises(openai.AuthenticationError, "invalid_credential", stranger.models.list)


def embeddings():
    make = lambda **options: create(client.embeddings.create, **options)
    if not with_model:
        raises(openai.InternalServerError, "embedding_unavailable",
               lambda: make(model="all-MiniLM-L6-v2", input="rag"))
        return
    by_default = make(model="all-MiniLM-L6-v2", input=["a steady march", "a rag"])
    floats = make(model="all-MiniLM-L6-v2", input="a rag", encoding_format="float")
    assert [one.index for one in by_default.data] == [0, 1] and by_default.usage.prompt_tokens > 0
    pairs = list(zip(by_default.data[1].embedding, floats.data[0].embedding, strict=True))
    assert len(pairs) == 384 and all(abs(a - b) < 1e-3 for a, b in pairs)
    same = make(model="all-MiniLM-L6-v2", input="a rag", dimensions=384)
    assert len(same.data[0].embedding) == 384
    # A text, and several, as their tokens of OpenAI's own encoding.
    tokens = make(model="all-MiniLM-L6-v2", input=[[15339, 1917], [15339]], encoding_format="float")
    words = make(model="all-MiniLM-L6-v2", input=["hello world", "hello"], encoding_format="float")
    assert [one.embedding for one in tokens.data] == [one.embedding for one in words.data]
    raises(openai.BadRequestError, "invalid_value",
           lambda: make(model="all-MiniLM-L6-v2", input="a", dimensions=256))
    raises(openai.NotFoundError, "unknown_model", lambda: make(model="ada", input="a"))


# On a stock runtime keys are set and not made.
may_make_keys = [] if os.environ.get("STOCK") else [spent]
for check in (*may_make_keys, whole, streamed, a_conversation, messages_as_they_come_back, as_long_as_wanted,
              texts, responses, nothing_found, models, errors, embeddings):
    check()
    print(f"{check.__name__}: ok")
