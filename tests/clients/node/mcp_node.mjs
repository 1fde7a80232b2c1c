// The official MCP client of npm, over streamable HTTP and over `ragtime mcp`.
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

// What the client finds odd of a schema it says here.
console.warn = (said) => { throw new Error(said); };

const QUOTE = 'Scott Joplin wrote the Maple Leaf Rag in 1899.';
const http = () => new StreamableHTTPClientTransport(new URL(`${process.env.SERVER}/mcp`), {
  requestInit: { headers: { Authorization: `Bearer ${process.env.KEY}` } },
});
const stdio = () => new StdioClientTransport({
  command: process.env.RAGTIME, args: ['mcp'],
  env: { RAGTIME_SERVER: process.env.SERVER, RAGTIME_KEY: process.env.KEY, no_proxy: '127.0.0.1' },
});

for (const [name, transport] of [['http', http()], ['stdio', stdio()]]) {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name), ['search', 'answer', 'get_document']);
  // The client holds what a tool answers against its output schema.
  const found = await client.callTool({ name: 'search', arguments: { query: 'Maple Leaf Rag', top_k: 1 } });
  assert.equal(found.structuredContent.results[0].document_id, 'joplin');
  const answer = await client.callTool({ name: 'answer', arguments: { query: 'Who wrote the Maple Leaf Rag?' } });
  assert.ok(answer.content[0].text.includes(QUOTE));
  const wrong = await client.callTool({ name: 'search', arguments: { query: 'rag', top_k: 0 } });
  assert.ok(wrong.isError && wrong.content[0].text.includes('#/top_k'));
  const { resources } = await client.listResources();
  assert.equal(resources[0].uri, 'ragtime://default/joplin');
  const { contents } = await client.readResource({ uri: resources[0].uri });
  assert.ok(contents[0].text.includes(QUOTE));
  assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 1);
  await client.ping();
  await assert.rejects(client.callTool({ name: 'drop_tables', arguments: {} }), /-32602/);
  await client.close();
  console.error(`${name}: ok`);
}
