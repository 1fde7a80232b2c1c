"""The official mcp client, of any version, over standard input and output."""

import asyncio
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

QUOTE = "Scott Joplin wrote the Maple Leaf Rag in 1899."
ENV = {"RAGTIME_SERVER": os.environ["SERVER"], "no_proxy": "127.0.0.1"}


def bridge(key):
    env = {**ENV, "RAGTIME_KEY": key}
    return StdioServerParameters(command=os.environ["RAGTIME"], args=["mcp"], env=env)


async def work():
    async with stdio_client(bridge(os.environ["KEY"])) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            assert tools == ["search", "answer", "get_document"], tools
            # Many at once, each with the answer to its own question.
            ask = lambda k: session.call_tool("search", {"query": "Maple Leaf Rag", "top_k": k})
            for found in await asyncio.gather(*(ask(k) for k in range(1, 21))):
                assert "joplin" in found.content[0].text, found
            answer = await session.call_tool("answer", {"query": "Who wrote the Maple Leaf Rag?"})
            assert QUOTE in answer.content[0].text, answer
            resources = (await session.list_resources()).resources
            assert str(resources[0].uri) == "ragtime://default/joplin", resources
            document = await session.read_resource(resources[0].uri)
            assert QUOTE in document.contents[0].text, document
            wrong = await session.call_tool("search", {"query": "rag", "top_k": 0})
            assert "#/top_k" in wrong.content[0].text, wrong


async def with_a_key_that_is_none():
    async with stdio_client(bridge("rt_none")) as (read, write):
        async with ClientSession(read, write) as session:
            try:
                await session.initialize()
            except Exception as error:
                assert "RAGTIME_KEY" in str(error) or "key" in str(error), error
            else:
                raise AssertionError("a stranger was let in")


asyncio.run(work())
asyncio.run(with_a_key_that_is_none())
print("mcp over stdio: ok", file=sys.stderr)
