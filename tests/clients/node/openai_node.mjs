// A day's work of npm's openai.
import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';

const QUESTION = 'Who wrote the Maple Leaf Rag?';
const AGAIN = 'When did Scott Joplin write the Maple Leaf Rag?';
const at = { baseURL: `${process.env.SERVER}/v1`, apiKey: process.env.KEY, maxRetries: 0 };
const client = new OpenAI(at);
const model = 'ragtime/default';

async function chats() {
  const messages = [{ role: 'developer', content: 'Be brief.' }, { role: 'user', content: QUESTION }];
  const first = await client.chat.completions.create({ model, messages, n: 1, stop: ['###'] });
  assert.match(first.choices[0].message.content, /Scott Joplin/);
  assert.equal(first.usage.total_tokens, first.usage.prompt_tokens + first.usage.completion_tokens);
  messages.push(first.choices[0].message);
  messages.push({ role: 'user', content: [{ type: 'text', text: AGAIN }] });
  const second = await client.chat.completions.create({ model, messages });
  assert.match(second.choices[0].message.content, /1899/);
}

async function streams() {
  const messages = [{ role: 'user', content: QUESTION }];
  const stream = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  let text = '';
  stream.on('content', (delta) => { text += delta; });
  const whole = await stream.finalChatCompletion();
  assert.equal(whole.choices[0].message.content, text);
  assert.match(text, /Scott Joplin/);
  assert.ok((await stream.totalUsage()).total_tokens > 0);
  const tools = [{
    type: 'function',
    function: { name: 'weather', parameters: { type: 'object', properties: {} }, parse: JSON.parse, function: () => 'sunny' },
  }];
  assert.match(await client.chat.completions.runTools({ model, messages, tools }).finalContent(), /Joplin/);
}

async function responds() {
  const input = [{ role: 'user', content: QUESTION }];
  const tools = [{ type: 'file_search', vector_store_ids: ['vs_default'] }];
  const first = await client.responses.create({ model: 'gpt-4o', input, tools, include: ['file_search_call.results'] });
  assert.match(first.output_text, /Scott Joplin/);
  assert.equal(first.output.at(-1).content[0].annotations[0].file_id, 'joplin');
  input.push(...first.output, { role: 'user', content: AGAIN });
  const stream = client.responses.stream({ model: 'gpt-4o', input, tools });
  let text = '';
  stream.on('response.output_text.delta', (event) => { text += event.delta; });
  const last = await stream.finalResponse();
  assert.equal(last.output_text, text);
  assert.match(text, /1899/);
}

async function searchesFiles() {
  const made = [];
  for (const name of ['lift', 'drag', 'thrust']) {
    const file = await toFile(Buffer.from(`The ${name} of an aircraft is one of its forces.`), `${name}.txt`);
    made.push(await client.files.create({ file, purpose: 'assistants' }));
  }
  const ids = made.map((file) => file.id);
  const listed = [];
  for await (const file of client.files.list({ limit: 2, order: 'asc' })) listed.push(file.id);
  assert.deepEqual(listed, ids);
  const newest = (await client.files.list({ order: 'desc' })).data.map((file) => file.id);
  assert.deepEqual(newest, [...ids].reverse());
  const store = await client.vectorStores.create({ name: 'Forces' });
  const batch = await client.vectorStores.fileBatches.createAndPoll(store.id, { file_ids: ids });
  assert.equal(batch.file_counts.completed, 3);
  const before = (await client.vectorStores.files.list(store.id, { order: 'asc', before: ids[2] })).data;
  assert.deepEqual(before.map((file) => file.id), ids.slice(0, 2));
  const inBatch = [];
  const files = await client.vectorStores.fileBatches.listFiles(batch.id, { vector_store_id: store.id, order: 'asc', limit: 2 });
  for await (const file of files) inBatch.push(file.id);
  assert.deepEqual(inBatch, ids);
  assert.ok((await client.vectorStores.retrieve(store.id)).usage_bytes > 100);
  const found = await client.vectorStores.search(store.id, { query: 'drag', max_num_results: 1 });
  assert.equal(found.data[0].filename, 'drag.txt');
  assert.equal(await (await client.files.content(ids[0])).text(), 'The lift of an aircraft is one of its forces.');
  // What is deleted while it is listed does not end the list.
  let deleted = 0;
  for await (const file of client.files.list({ limit: 1 })) {
    assert.ok((await client.files.delete(file.id)).deleted);
    deleted += 1;
  }
  assert.equal(deleted, 3);
  assert.ok((await client.vectorStores.delete(store.id)).deleted);
}

async function embeds() {
  const { data } = await client.embeddings.create({ model: 'all-MiniLM-L6-v2', input: ['a', 'b'], dimensions: 384 });
  assert.deepEqual(data.map((one) => one.embedding.length), [384, 384]);
  assert.ok(Math.abs(data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3);
}

async function errors() {
  const messages = [{ role: 'user', content: QUESTION }];
  const create = (from, body) => from.chat.completions.create({ model, messages, ...body });
  await assert.rejects(create(new OpenAI({ ...at, apiKey: 'rt_x_y' })), OpenAI.AuthenticationError);
  await assert.rejects(create(client, { model: 'ragtime/none' }), OpenAI.NotFoundError);
  await assert.rejects(create(client, { n: 2 }), (error) => error instanceof OpenAI.BadRequestError && error.param === 'n');
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.ok(names.includes(model), names);
}

for (const check of [chats, streams, responds, searchesFiles, embeds, errors]) {
  await check();
  console.error(`${check.name}: ok`);
}
