"""A day's work of the OpenAI agents SDK."""

import asyncio
import os
import sys

import openai
from agents import (
    Agent, FileSearchTool, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, SQLiteSession,
    function_tool, set_tracing_disabled,
)

QUESTION = "Who wrote the Maple Leaf Rag?"
AGAIN = "When did Scott Joplin write the Maple Leaf Rag?"
BASE = f"{os.environ['SERVER']}/v1"
CLIENT = openai.AsyncOpenAI(base_url=BASE, api_key=os.environ["KEY"], max_retries=0)
set_tracing_disabled(True)


@function_tool
def weather(place: str) -> str:
    """The weather of a place."""
    return f"sunny in {place}"


def models(client=CLIENT, name="ragtime/default"):
    return [kind(model=name, openai_client=client) for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel)]


async def runs():
    for model in models():
        agent = Agent(name="Librarian", instructions="Be brief.", model=model, tools=[weather])
        result = await Runner.run(agent, QUESTION)
        assert "Scott Joplin" in result.final_output, result
        turns = result.to_input_list() + [{"role": "user", "content": AGAIN}]
        assert "1899" in (await Runner.run(agent, turns)).final_output
        usage = result.context_wrapper.usage
        assert usage.requests == 1 and usage.total_tokens == usage.input_tokens + usage.output_tokens, usage


async def streams():
    for model in models():
        agent = Agent(name="Librarian", model=model)
        result = Runner.run_streamed(agent, QUESTION)
        text = ""
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                text += event.data.delta
        assert text == result.final_output and "Scott Joplin" in text, (text, result)


async def searches_files():
    tool = FileSearchTool(vector_store_ids=["vs_default"], max_num_results=3, include_search_results=True)
    model = OpenAIResponsesModel(model="gpt-4o", openai_client=CLIENT)
    agent = Agent(name="Librarian", instructions="Search.", model=model, tools=[tool])
    result = await Runner.run(agent, QUESTION)
    assert "Scott Joplin" in result.final_output, result
    [found] = [item.raw_item for item in result.new_items if item.type == "tool_call_item"]
    assert found.results[0].file_id == "joplin", found


async def sessions():
    for model in models():
        session, agent = SQLiteSession("one"), Agent(name="Librarian", model=model)
        await Runner.run(agent, QUESTION, session=session)
        assert "1899" in (await Runner.run(agent, AGAIN, session=session)).final_output
        assert len(await session.get_items()) == 4, await session.get_items()


async def errors():
    stranger = openai.AsyncOpenAI(base_url=BASE, api_key="rt_x_y", max_retries=0)
    wrong = [(openai.AuthenticationError, model) for model in models(stranger)]
    wrong += [(openai.NotFoundError, model) for model in models(name="ragtime/none")]
    for kind, model in wrong:
        try:
            await Runner.run(Agent(name="Librarian", model=model), QUESTION)
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")


async def main():
    for check in (runs, streams, searches_files, sessions, errors):
        await check()
        print(f"{check.__name__}: ok", file=sys.stderr)


asyncio.run(main())
