/**
 * The floor: the least that a hop WebSocket → provider → WebSocket costs on this machine. It speaks
 * as much of the wire protocol as the load needs, with frames read and written by hand, and sends
 * the last messages from memory: no checks, no store, no metering, no tools, no limits. Not a
 * product; what stands beside it in a table is measured against it. Arguments: port, provider URL.
 */
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { Duplex } from 'node:stream';

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Messages it keeps and sends: about what fits into the context of a gateway under this load. */
const MAX_MESSAGES = 99;
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

interface ChatRequest {
  readonly id: string;
  readonly params: { readonly peer: string; readonly content: string };
}

type Send = (frame: object) => void;

const [port = '0', providerUrl = ''] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
const sessions = new Map<string, { readonly role: string; readonly content: string }[]>();

function chat({ id, params }: ChatRequest, send: Send): void {
  const history = sessions.get(params.peer) ?? [];
  sessions.set(params.peer, history);
  history.push({ role: 'user', content: params.content });
  // An odd number is kept, so that it begins with what a user wrote.
  history.splice(0, history.length - MAX_MESSAGES);
  const system = 'You are a helpful assistant in a chat application.';
  const body = JSON.stringify({
    model: 'bench',
    max_tokens: 4096,
    stream: true,
    system,
    messages: history,
  });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const request = http.request(`${providerUrl}/v1/messages`, { method: 'POST', agent, headers });
  request.on('response', (response) => {
    let pending = '';
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (data: string) => {
      const events = (pending + data).split('\n\n');
      pending = events.pop() ?? '';
      for (const event of events) {
        const piece = readDelta(event);
        if (piece === undefined) continue;
        text += piece;
        send({ id, event: 'text', data: piece });
      }
    });
    response.on('end', () => {
      history.push({ role: 'assistant', content: text });
      send({ id, event: 'done' });
    });
  });
  request.on('error', (error) => send({ id, event: 'error', data: error.message }));
  request.end(body);
}

function readDelta(event: string): string | undefined {
  const json = event.slice(event.indexOf('data: ') + 6);
  return (JSON.parse(json) as { delta?: { text?: string } }).delta?.text;
}

/** One unmasked frame (RFC 6455, section 5.2). */
function encodeFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const first = 0x80 | opcode;
  if (length < 126) return Buffer.concat([Buffer.from([first, length]), payload]);
  return Buffer.concat([Buffer.from([first, 126, length >> 8, length & 255]), payload]);
}

/** Calls `onFrame` for each whole frame. @returns the bytes that are left. */
function decodeFrames(bytes: Buffer, onFrame: (opcode: number, payload: Buffer) => void): Buffer {
  let rest = bytes;
  for (;;) {
    if (rest.length < 4) return rest;
    const opcode = (rest[0] ?? 0) & 15;
    const short = (rest[1] ?? 0) & 127;
    const length = short === 126 ? rest.readUInt16BE(2) : short;
    const start = (short === 126 ? 4 : 2) + 4;
    if (rest.length < start + length) return rest;
    const mask = rest.subarray(start - 4, start);
    const payload = Buffer.from(rest.subarray(start, start + length));
    for (let at = 0; at < length; at += 1) payload[at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0);
    rest = rest.subarray(start + length);
    onFrame(opcode, payload);
  }
}

function serve(socket: Duplex): void {
  const send: Send = (frame) => {
    if (!socket.destroyed) socket.write(encodeFrame(TEXT, Buffer.from(JSON.stringify(frame))));
  };
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => {
    pending = decodeFrames(
      pending.length === 0 ? data : Buffer.concat([pending, data]),
      (opcode, payload) => {
        if (opcode === CLOSE) socket.end();
        else if (opcode === PING) socket.write(encodeFrame(PONG, payload));
        else if (opcode === TEXT) chat(JSON.parse(payload.toString('utf8')) as ChatRequest, send);
      },
    );
  });
  send({ ok: true, version: 'floor' });
}

const server = http.createServer((_request, response) => response.end('{}'));
server.on('upgrade', (request, socket) => {
  const key = `${request.headers['sec-websocket-key']}${WEBSOCKET_GUID}`;
  const accept = createHash('sha1').update(key).digest('base64');
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  request.socket.setNoDelay(true);
  socket.write(`${lines.join('\r\n')}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  serve(socket);
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 8192 });
