"""The official mcp client before its second version, over streamable HTTP."""

import asyncio
import importlib.metadata
import os
import sys

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client

QUOTE = "Scott Joplin wrote the Maple Leaf Rag in 1899."
URL = f"{os.environ['SERVER']}/mcp"


async def work():
    async with streamablehttp_client(URL, headers={"Authorization": f"Bearer {os.environ['KEY']}"}) as (read, write, _):
        async with ClientSession(read, write) as session:
            version = (await session.initialize()).protocolVersion
            tools = (await session.list_tools()).tools
            assert [tool.name for tool in tools] == ["search", "answer", "get_document"], tools
            found = await session.call_tool("search", {"query": "Maple Leaf Rag", "top_k": 1})
            assert not found.isError and "joplin" in found.content[0].text, found
            answer = await session.call_tool("answer", {"query": "Who wrote the Maple Leaf Rag?"})
            assert QUOTE in answer.content[0].text, answer
            wrong = await session.call_tool("search", {"query": "rag", "top_k": 0})
            assert wrong.isError and "#/top_k" in wrong.content[0].text, wrong
            resources = (await session.list_resources()).resources
            assert str(resources[0].uri) == "ragtime://default/joplin", resources
            document = await session.read_resource(resources[0].uri)
            assert QUOTE in document.contents[0].text, document
            await session.send_ping()
            try:
                await session.call_tool("drop_tables", {})
            except McpError as error:
                assert error.error.code == -32602, error
            else:
                raise AssertionError("a tool that is not there was called")
    print(f"mcp {importlib.metadata.version('mcp')} speaks {version}: ok", file=sys.stderr)


asyncio.run(work())
