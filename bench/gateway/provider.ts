/**
 * A stand-in for a model provider, run as its own process: it answers `POST /v1/messages` with a
 * stream in Anthropic's format, 20 chunks without a pause. The first chunk starts with a mark that
 * says how long the provider itself took, so that a client can subtract it exactly.
 * `GET /last` is the body of the newest request. Arguments: port, words in a chunk.
 */
import http from 'node:http';

const CHUNKS = 20;
const WORDS =
  'the quick brown fox jumps over a lazy dog while seven wizards quietly mix potions'.split(' ');

const [port = 0, wordsPerChunk = 1] = process.argv.slice(2).map(Number);
const chunks = Array.from({ length: CHUNKS }, (_, chunk) =>
  Array.from(
    { length: wordsPerChunk },
    (_, word) => `${WORDS[(chunk * wordsPerChunk + word) % WORDS.length]} `,
  ).join(''),
);
let last = '{}';

function toEvent(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

function toDelta(text: string): string {
  return toEvent('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });
}

const REST = chunks.slice(1).map(toDelta);
const END = [
  toEvent('content_block_stop', { index: 0 }),
  toEvent('message_delta', {
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: CHUNKS * wordsPerChunk },
  }),
  toEvent('message_stop', {}),
].join('');

function answer(response: http.ServerResponse, inputTokens: number, startedAtMs: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const message = {
    id: 'msg_bench',
    type: 'message',
    role: 'assistant',
    model: 'bench',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: inputTokens, output_tokens: 1 },
  };
  response.write(toEvent('message_start', { message }));
  const block = { index: 0, content_block: { type: 'text', text: '' } };
  response.write(toEvent('content_block_start', block));
  const ownMs = performance.now() - startedAtMs;
  response.write(toDelta(`[own=${ownMs.toFixed(3)}] ${chunks[0]}`));
  for (const event of REST) response.write(event);
  response.end(END);
}

const server = http.createServer((request, response) => {
  if (request.method !== 'POST') {
    response.end(request.url === '/last' ? last : '{}');
    return;
  }
  const body: Buffer[] = [];
  request.on('data', (data: Buffer) => body.push(data));
  request.on('end', () => {
    const startedAtMs = performance.now();
    last = Buffer.concat(body).toString('utf8');
    answer(response, Math.ceil(last.length / 4), startedAtMs);
  });
});
server.keepAliveTimeout = 60_000;
server.listen({ port, host: '127.0.0.1', backlog: 4096 });
