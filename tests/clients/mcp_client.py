"""The official mcp client against a server with one document, in both versions."""

import asyncio
import os

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

QUOTE = "Scott Joplin wrote the Maple Leaf Rag in 1899."
URL = f"{os.environ['SERVER']}/mcp"
KEY = {"Authorization": f"Bearer {os.environ['KEY']}"}


async def check(client, version):
    assert client.protocol_version == version, client.protocol_version
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["search", "answer", "get_document"], tools

    found = await client.call_tool("search", {"query": "Maple Leaf Rag", "top_k": 1})
    assert found.structured_content["results"][0]["document_id"] == "joplin", found
    answer = await client.call_tool("answer", {"query": "Who wrote the Maple Leaf Rag?"})
    quotes = [citation["quote"] for citation in answer.structured_content["citations"]]
    assert quotes == [QUOTE] and QUOTE in answer.content[0].text, answer
    document = await client.call_tool("get_document", {"collection": "default", "id": "joplin"})
    assert QUOTE in document.structured_content["text"], document

    wrong = await client.call_tool("search", {"query": "rag", "top_k": 0})
    assert wrong.is_error and "#/top_k" in wrong.content[0].text, wrong
    missing = await client.call_tool("get_document", {"id": "none"})
    assert missing.is_error and "unknown_document" in missing.content[0].text, missing
    try:
        await client.call_tool("drop_tables", {})
    except MCPError as error:
        assert error.error.code == -32602, error
    else:
        raise AssertionError("a tool that is not there was called")


async def main():
    for mode, version in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
        async with httpx2.AsyncClient(headers=KEY) as http:
            async with Client(streamable_http_client(URL, http_client=http), mode=mode) as client:
                await check(client, version)
                print(f"{version}: ok")


asyncio.run(main())
