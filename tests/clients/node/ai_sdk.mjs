// A day's work of Vercel's AI SDK, with both of its providers for OpenAI's API.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, jsonSchema, streamText, tool } from 'ai';

const QUESTION = 'Who wrote the Maple Leaf Rag?';
const AGAIN = 'When did Scott Joplin write the Maple Leaf Rag?';
const at = { baseURL: `${process.env.SERVER}/v1`, apiKey: process.env.KEY };
const openai = createOpenAI(at);
const compatible = createOpenAICompatible({ name: 'ragtime', includeUsage: true, ...at });
const NAME = 'ragtime/default';
const models = (of = openai, and = compatible, name = NAME) => [of(name), of.chat(name), and(name)];
const weather = tool({
  description: 'The weather', inputSchema: jsonSchema({ type: 'object', properties: {} }), execute: async () => 'sunny',
});

async function conversations() {
  for (const model of models()) {
    const messages = [{ role: 'user', content: QUESTION }];
    const first = await generateText({ model, instructions: 'Be brief.', messages, tools: { weather }, maxRetries: 0 });
    assert.match(first.text, /Scott Joplin/);
    assert.equal(first.finishReason, 'stop');
    assert.ok(first.usage.totalTokens > 0, JSON.stringify(first.usage));
    messages.push(...first.response.messages, { role: 'user', content: AGAIN });
    const second = await generateText({ model, messages, maxRetries: 0 });
    assert.match(second.text, /1899/);
  }
}

async function streams() {
  for (const model of models()) {
    const messages = [{ role: 'user', content: [{ type: 'text', text: QUESTION }] }];
    const result = streamText({ model, messages, maxRetries: 0, onError: ({ error }) => { throw error; } });
    let text = '';
    for await (const delta of result.textStream) text += delta;
    assert.match(text, /Scott Joplin/);
    assert.ok((await result.usage).totalTokens > 0);
    assert.equal(await result.finishReason, 'stop');
  }
}

async function searchesFiles() {
  const search = openai.tools.fileSearch({ vectorStoreIds: ['vs_default'], maxNumResults: 3 });
  const asked = { model: openai('gpt-4o'), tools: { file_search: search }, maxRetries: 0 };
  const messages = [{ role: 'user', content: QUESTION }];
  const first = await generateText({ ...asked, messages });
  assert.match(first.text, /Scott Joplin/);
  assert.equal(first.sources.length, 1, JSON.stringify(first.sources));
  messages.push(...first.response.messages, { role: 'user', content: AGAIN });
  const result = streamText({ ...asked, messages, onError: ({ error }) => { throw error; } });
  assert.match(await result.text, /1899/);
}

async function embeds() {
  for (const provider of [openai, compatible]) {
    const model = provider.embeddingModel('all-MiniLM-L6-v2');
    const { embeddings } = await embedMany({ model, values: ['a', 'b'], maxRetries: 0 });
    assert.deepEqual(embeddings.map((one) => one.length), [384, 384]);
  }
}

async function errors() {
  const refused = { ...at, apiKey: 'rt_x_y' };
  const strangers = models(createOpenAI(refused), createOpenAICompatible({ name: 'ragtime', ...refused }));
  const wrong = [...strangers.map((model) => [model, 401]), ...models(openai, compatible, 'ragtime/none').map((model) => [model, 404])];
  for (const [model, status] of wrong) {
    const call = generateText({ model, prompt: QUESTION, maxRetries: 0 });
    await assert.rejects(call, (error) => APICallError.isInstance(error) && error.statusCode === status && error.message.length > 10);
  }
}

for (const check of [conversations, streams, searchesFiles, embeds, errors]) {
  await check();
  console.error(`${check.name}: ok`);
}
