/** HTTP answers of the gateway: JSON, text or the page, always with headers that lock them down. */
import { createHash } from 'node:crypto';
import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS, type WireError } from '@exoclaw/protocol';

export type Headers = Readonly<Record<string, string>>;

// Nothing here may be framed, sniffed as something else, cached, or load anything.
const LOCKED: Headers = {
  'content-security-policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Headers = {},
): void {
  const json = { 'content-type': 'application/json; charset=utf-8', ...headers };
  sendText(response, status, JSON.stringify(body), json);
}

/** Sends a failure with the status of its code. */
export function sendError(response: ServerResponse, error: WireError, headers: Headers = {}): void {
  const { code, message } = error;
  const retry: Headers = ERRORS[code].http === 429 ? { 'retry-after': '10' } : {};
  sendJson(response, ERRORS[code].http, { error: message, code }, { ...retry, ...headers });
}

/** Sends a body; without a `content-type` in `headers` it is plain text. */
export function sendText(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Headers = {},
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    ...LOCKED,
    ...headers,
    'content-length': Buffer.byteLength(body),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** Answers an upgrade that is not granted; there is no response object for those. */
export function refuseUpgrade(socket: Duplex, status: number, message: string): void {
  const body = JSON.stringify({ error: message });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(status === 429 ? ['retry-after: 60'] : []),
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

const STYLE =
  'body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}code{font-size:.95em}';
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** The page at `/`: static, no script, nothing from anywhere else. */
export function sendPage(response: ServerResponse, page: { readonly version: string }): void {
  const body = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>exoclaw</title><style>${STYLE}</style></head>
<body>
<h1>exoclaw ${escapeHtml(page.version)}</h1>
<p>The gateway is running. Talk to your agent from a terminal:</p>
<p><code>npx exoclaw chat</code></p>
<p>Programs connect to the WebSocket at <code>/ws</code> on this address.</p>
</body>
</html>
`;
  sendText(response, 200, body, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  });
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
