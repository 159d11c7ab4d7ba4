import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ERRORS, isErrorCode } from './errors.ts';
import { isFault, MAX_BATCH, parseFrame, toErrorFrame, toResultFrame } from './rpc.ts';

/** The one item of a frame that is no batch. */
function parseOne(text: string) {
  const frame = parseFrame(text);
  assert.equal(frame.kind, 'single');
  return frame.kind === 'single' ? frame.item : assert.fail();
}

function codeOf(text: string): string | undefined {
  const item = parseOne(text);
  return isFault(item) ? item.code : undefined;
}

const id = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 256 }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true, noInteger: true }),
);

test('parseFrame() never throws, whatever text it is given', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.json().map((json) => `{"jsonrpc":"2.0","id":${json},"method":${json},"params":${json}}`),
    fc.json().map((json) => `{"id":${json},"method":"ping","params":${json}}`),
  );
  fc.assert(
    fc.property(text, (frame) => {
      const parsed = parseFrame(frame);
      const items = parsed.kind === 'batch' ? parsed.items : [parsed.item];
      assert.ok(items.length > 0);
      for (const item of items) {
        if (isFault(item)) assert.ok(isErrorCode(item.code));
        else assert.equal(typeof item.method, 'string');
        // What is answered can always be written down.
        JSON.stringify(toErrorFrame(item, { code: 'internal', message: 'x' }));
      }
    }),
    { numRuns: 2000 },
  );
});

test('parseFrame() keeps id, method and parameters as they were sent', () => {
  fc.assert(
    fc.property(
      id,
      fc.dictionary(
        fc.string().filter((key) => key !== '__proto__'),
        fc.jsonValue(),
      ),
      (requestId, params) => {
        for (const dialect of ['plain', 'jsonrpc'] as const) {
          const head = dialect === 'plain' ? {} : { jsonrpc: '2.0' };
          const sent = JSON.parse(
            JSON.stringify({ ...head, id: requestId, method: 'a.b', params }),
          ) as Record<string, unknown>;
          const item = parseOne(JSON.stringify(sent));
          assert.deepEqual(item, {
            dialect,
            id: sent['id'],
            method: 'a.b',
            params: sent['params'],
          });
        }
      },
    ),
  );
});

test('the id of an answer is the id of its request, byte for byte', () => {
  fc.assert(
    fc.property(id, (requestId) => {
      const written = JSON.stringify(requestId);
      const item = parseOne(`{"id":${written},"method":"ping"}`);
      assert.ok(!isFault(item));
      assert.equal(JSON.stringify(toResultFrame(item, 1)), `{"id":${written},"result":1}`);
    }),
  );
});

test('parseFrame() refuses an id that would not come back as it was', () => {
  for (const bad of [
    '9007199254740993',
    '1e400',
    'null',
    'true',
    '[1]',
    '{}',
    `"${'x'.repeat(257)}"`,
  ]) {
    const item = parseOne(`{"id":${bad},"method":"ping"}`);
    assert.ok(isFault(item), bad);
    assert.equal(item.code, 'invalid_request');
    assert.equal(item.id, '0');
  }
  assert.equal(
    codeOf('{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}'),
    'invalid_request',
  );
});

test('parseFrame() answers what is no JSON in the dialect it seems to be', () => {
  const plain = parseOne('{"id":1,');
  assert.partialDeepStrictEqual(plain, { dialect: 'plain', id: '0', code: 'parse_error' });
  const strict = parseOne('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]');
  assert.partialDeepStrictEqual(strict, { dialect: 'jsonrpc', id: null, code: 'parse_error' });
});

test('parseFrame() says what a plain frame needs, with the id when it has one', () => {
  for (const text of [
    '{}',
    '5',
    '"ping"',
    'null',
    '{"id":"7"}',
    '{"method":"ping"}',
    '{"id":"7","method":""}',
  ]) {
    const item = parseOne(text);
    assert.ok(isFault(item), text);
    assert.equal(item.code, 'invalid_request');
    assert.equal(item.id, text.includes('"7"') ? '7' : '0');
    assert.match(item.message, /"id".*"method"/);
  }
});

test('parseFrame() is strict about JSON-RPC 2.0', () => {
  for (const text of [
    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    '{"jsonrpc":2,"id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","id":1,"method":1}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}',
    '{"jsonrpc":"2.0","id":{},"method":"ping"}',
    '[]',
  ]) {
    assert.equal(codeOf(text), 'invalid_request', text);
  }
  const notification = parseOne('{"jsonrpc":"2.0","method":"ping"}');
  assert.ok(!isFault(notification));
  assert.equal(notification.id, undefined);
  const withNull = parseOne('{"jsonrpc":"2.0","id":null,"method":"ping"}');
  assert.equal(withNull.id, null);
});

test('parseFrame() reads a batch item by item, and refuses one that is too long', () => {
  const batch = parseFrame('[{"jsonrpc":"2.0","id":1,"method":"ping"},1,{"id":2,"method":"ping"}]');
  assert.ok(batch.kind === 'batch');
  assert.deepEqual(
    batch.items.map((item) => (isFault(item) ? item.code : item.method)),
    ['ping', 'invalid_request', 'invalid_request'],
  );
  const many = (length: number) =>
    JSON.stringify(Array.from({ length }, (_, at) => ({ jsonrpc: '2.0', id: at, method: 'ping' })));
  assert.equal(parseFrame(many(MAX_BATCH)).kind, 'batch');
  assert.equal(codeOf(many(MAX_BATCH + 1)), 'invalid_request');
});

test('toErrorFrame() writes each code in both dialects', () => {
  for (const code of Object.keys(ERRORS).filter(isErrorCode)) {
    assert.deepEqual(toErrorFrame({ dialect: 'plain', id: 1 }, { code, message: 'm' }), {
      id: 1,
      error: 'm',
      code,
    });
    const { error } = toErrorFrame({ dialect: 'jsonrpc', id: 1 }, { code, message: 'm', data: 5 });
    assert.deepEqual(error, { code: ERRORS[code].rpc, message: 'm', data: { code, detail: 5 } });
  }
});

test('every error has its own number, inside the range that is ours to give', () => {
  const numbers = Object.values(ERRORS).map(({ rpc }) => rpc);
  assert.equal(new Set(numbers).size, numbers.length);
  for (const rpc of numbers) {
    const isStandard = [-32700, -32600, -32601, -32602, -32603].includes(rpc);
    assert.ok(isStandard || (rpc <= -32000 && rpc >= -32099), String(rpc));
  }
});
