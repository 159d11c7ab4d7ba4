import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../test/fake-clock.ts';
import { Secret } from '../lib/secret.ts';
import { Authenticator } from './auth.ts';

function createAuth() {
  const clock = createFakeClock();
  return { clock, auth: new Authenticator(new Secret('right'), clock) };
}

function fail(auth: Authenticator, address: string, times: number): void {
  for (let count = 0; count < times; count += 1) auth.verify('wrong', address);
}

test('verify() takes the right token and no other', () => {
  const { auth } = createAuth();
  assert.ok(auth.verify('right', 'a')?.scopes.has('admin'));
  for (const token of ['', 'Right', 'right ', 'righ', 'right\u0000', 'r'.repeat(4096)]) {
    assert.equal(auth.verify(token, 'a'), undefined, token);
  }
  assert.equal(auth.anonymous, undefined);
});

test('without a token everybody may do everything', () => {
  const auth = new Authenticator(undefined, createFakeClock());
  assert.ok(auth.anonymous?.scopes.has('admin'));
  assert.ok(auth.verify('anything', 'a'));
});

test('the delay grows with each failure of an address, up to a bound', () => {
  const { auth } = createAuth();
  const delays = Array.from({ length: 9 }, () => {
    fail(auth, 'a', 1);
    return auth.getDelayMs('a');
  });
  assert.deepEqual(delays, [0, 0, 100, 200, 400, 800, 1600, 3000, 3000]);
  assert.equal(auth.getDelayMs('b'), 0);
});

test('after ten failures even the right token is refused for a minute', () => {
  const { auth, clock } = createAuth();
  fail(auth, 'a', 10);
  assert.equal(auth.isRefused('a'), true);
  assert.equal(auth.verify('right', 'a'), undefined);
  assert.ok(auth.verify('right', 'b'));
  clock.advance(60_000);
  assert.equal(auth.isRefused('a'), false);
  assert.ok(auth.verify('right', 'a'));
  assert.equal(auth.getDelayMs('a'), 0);
});

test('one stale client does not renew a refusal for ever', () => {
  const { auth, clock } = createAuth();
  fail(auth, 'a', 10);
  clock.advance(60_000);
  fail(auth, 'a', 1);
  assert.equal(auth.isRefused('a'), false);
  fail(auth, 'a', 4);
  assert.equal(auth.isRefused('a'), true);
});

test('the addresses of one IPv6 household count as one, IPv4 ones as themselves', () => {
  const { auth } = createAuth();
  for (let host = 1; host <= 10; host += 1) fail(auth, `2001:db8:0:7::${host}`, 1);
  assert.equal(auth.isRefused('2001:db8:0:7:ffff:ffff:ffff:ffff'), true);
  assert.equal(auth.isRefused('2001:db8:0:8::1'), false);
  fail(auth, '::ffff:10.0.0.1', 10);
  assert.equal(auth.isRefused('10.0.0.1'), true);
  assert.equal(auth.isRefused('::ffff:10.0.0.2'), false);
  assert.equal(auth.isRefused('::1'), false);
});

test('failures are remembered for a bounded number of addresses', () => {
  const { auth } = createAuth();
  fail(auth, 'first', 10);
  for (let other = 0; other < 10_000; other += 1) fail(auth, `address-${other}`, 1);
  assert.equal(auth.isRefused('first'), false);
});
