import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authFrame, helloFrame, isMethodName, METHODS, SCOPES } from './methods.ts';

test('isMethodName() knows the methods and nothing of their object', () => {
  assert.equal(isMethodName('chat.send'), true);
  for (const name of ['toString', '__proto__', 'constructor', '', 'Chat.send']) {
    assert.equal(isMethodName(name), false, name);
  }
});

test('every method says what it does and which scope it needs', () => {
  for (const [name, { summary, scope }] of Object.entries(METHODS)) {
    assert.ok(summary.length > 5, name);
    assert.ok(SCOPES.includes(scope), name);
  }
});

test('chat.send fills in what has a default and refuses what it does not know', () => {
  const { params } = METHODS['chat.send'];
  assert.deepEqual(params.parse({ channel: 'c', account: 'a', content: 'x' }), {
    channel: 'c',
    account: 'a',
    peer: 'main',
    content: 'x',
    ack: false,
  });
  for (const wrong of [
    { channel: 'c', account: 'a', content: '' },
    { channel: '', account: 'a', content: 'x' },
    { channel: 'c', account: 'a', content: 'x', sender: 'admin' },
    { channel: 'c', account: 'a', content: 'x', message_id: 'm'.repeat(129) },
  ]) {
    assert.equal(params.safeParse(wrong).success, false);
  }
});

test('a session key may be as long as the longest address makes it', () => {
  const part = '=ed=9f=bf'.repeat(256);
  const session = [part, part, part, part].join(':');
  assert.equal(METHODS['session.watch'].params.safeParse({ session }).success, true);
});

test('chat.abort takes an id or a session, not both and not neither', () => {
  const { params } = METHODS['chat.abort'];
  assert.equal(params.safeParse({ id: 1 }).success, true);
  assert.equal(params.safeParse({ session: 's' }).success, true);
  assert.equal(params.safeParse({}).success, false);
  assert.equal(params.safeParse({ id: 1, session: 's' }).success, false);
});

test('a client reads the hello of a later version', () => {
  const hello = { ok: true, version: '9.0.0', protocol: 2, motd: 'hi' };
  assert.equal(helloFrame.safeParse(hello).success, true);
  assert.equal(authFrame.safeParse({ token: 'x'.repeat(4097) }).success, false);
});
