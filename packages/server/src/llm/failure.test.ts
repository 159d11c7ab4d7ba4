import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { Secret } from '../lib/secret.ts';
import { LlmTimeout, toFailure, type FailureContext } from './failure.ts';

const KEY = 'the-key-4711';
const NOW = Date.parse('2026-11-22T12:00:00Z');
const context: FailureContext = { apiKey: new Secret(KEY), nowMs: NOW };

function toApiError(statusCode: number, responseHeaders: Record<string, string>): object {
  return { name: 'AI_APICallError', message: 'No', statusCode, responseHeaders, responseBody: '' };
}

test('toFailure() reads retry-after as seconds, as a date and in milliseconds', () => {
  const wait = (headers: Record<string, string>): number | undefined =>
    toFailure(toApiError(429, headers), context).retryAfterMs;
  assert.equal(wait({ 'retry-after': '1.5' }), 1500);
  assert.equal(wait({ 'retry-after': 'Sun, 22 Nov 2026 12:00:09 GMT' }), 9000);
  assert.equal(wait({ 'retry-after': 'Sun, 22 Nov 2026 11:00:00 GMT' }), 0);
  assert.equal(wait({ 'retry-after': '60', 'retry-after-ms': '250' }), 250);
  assert.equal(wait({ 'retry-after': 'soon' }), undefined);
  assert.equal(wait({}), undefined);
});

test('toFailure() follows what the provider advises about asking again', () => {
  assert.equal(toFailure(toApiError(400, { 'x-should-retry': 'true' }), context).retryable, true);
  assert.equal(toFailure(toApiError(503, { 'x-should-retry': 'false' }), context).retryable, false);
  assert.equal(toFailure(toApiError(503, {}), context).retryable, true);
  assert.equal(toFailure(toApiError(404, {}), context).retryable, false);
});

test('toFailure() finds a system error behind other errors', () => {
  const system = Object.assign(new Error('connect ECONNREFUSED 10.1.2.3:80'), {
    code: 'ECONNREFUSED',
  });
  const error = new TypeError('fetch failed', { cause: new Error('x', { cause: system }) });
  assert.equal(toFailure(error, context).message, 'provider error: connection refused');
});

test('toFailure() does not call a refused certificate retryable', () => {
  const error = Object.assign(new Error('x'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  const failure = toFailure(error, context);
  assert.match(failure.message, /TLS certificate refused/);
  assert.equal(failure.retryable, false);
});

test('toFailure() recognises a time-out through the layers', () => {
  const error = new Error('x', { cause: new LlmTimeout('no connection within 10 s') });
  const failure = toFailure(error, context);
  assert.equal(failure.code, 'provider_timeout');
  assert.equal(failure.message, 'provider error: no connection within 10 s');
});

test('toFailure() keeps the prompt and the key out of the cause', () => {
  const error = Object.assign(new Error(`bad ${KEY}`), {
    requestBodyValues: { prompt: 'private' },
  });
  const failure = toFailure(Object.assign(error, { statusCode: 400 }), context);
  assert.doesNotMatch(inspect(failure, { depth: 9 }), new RegExp(`private|${KEY}`));
});

test('toFailure() makes one bounded line without key or query of anything', () => {
  const noise = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.constantFrom(KEY, '\n', '\u001b[31m', '\u202e', 'https://h.example/a?q=secret-value '),
  );
  fc.assert(
    fc.property(
      fc.array(noise, { maxLength: 12 }),
      fc.integer({ min: 400, max: 599 }),
      (parts, status) => {
        const { message } = toFailure({ message: parts.join(''), statusCode: status }, context);
        assert.ok(message.startsWith(`provider error: ${status} `));
        assert.ok(message.length <= 280);
        assert.doesNotMatch(message, /\p{Cc}|\u202e/u);
        assert.ok(!message.includes(KEY));
        assert.ok(!message.includes('?q=secret'));
      },
    ),
  );
});
