import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Secret } from '../lib/secret.ts';
import type { ProviderName } from '../llm/provider.ts';
import { detectProvider, keyPath, readKey, readToken, writeKey } from './credentials.ts';
import { createHome, withoutRoot } from './temp.fixture.ts';

const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('writeKey() makes a 0600 file in a 0700 folder, whatever was there before', (t) => {
  const home = createHome(t);
  const options = { env: { EXOCLAW_HOME: home } };
  const folder = join(home, 'credentials');
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(join(folder, 'openai.key'), 'old', { mode: 0o644 });
  writeKey('openai', new Secret('  sk-new\n'), options);
  assert.equal(modeOf(folder), 0o700);
  assert.equal(modeOf(join(folder, 'openai.key')), 0o600);
  assert.deepEqual(readdirSync(folder), ['openai.key']);
  const { secret, source, warning } = readKey('openai', options);
  assert.deepEqual([secret?.reveal(), source, warning], ['sk-new', 'file', undefined]);
});

test('writeKey() refuses what is no key, says so without it, and leaves the old one', (t) => {
  const home = createHome(t);
  const options = { env: { EXOCLAW_HOME: home } };
  writeKey('openai', new Secret('good'), options);
  for (const bad of ['', ' \n', 'SECRET two', 'SECRET\u0007', 'SECRET-é', 'SECRET'.repeat(2000)]) {
    assert.throws(
      () => writeKey('openai', new Secret(bad), options),
      (error) => error instanceof Error && !error.message.includes('SECRET'),
    );
  }
  assert.equal(readKey('openai', options).secret?.reveal(), 'good');
  assert.throws(() => writeKey('demo', new Secret('x'), options), /takes no key/);
});

test('writeKey() leaves nothing behind in a home that can not be written', (t) => {
  const home = createHome(t);
  chmodSync(home, 0o500);
  const options = { env: { EXOCLAW_HOME: home } };
  withoutRoot(home, () => {
    assert.throws(() => writeKey('openai', new Secret('k'), options), { code: 'EACCES' });
  });
  assert.deepEqual(readdirSync(home), []);
});

test('readKey() prefers the environment, and an empty variable counts as not set', (t) => {
  const home = createHome(t);
  const env = { EXOCLAW_HOME: home };
  writeKey('google', new Secret('file'), { env });
  const read = (extra: Record<string, string>) => {
    const { secret, source } = readKey('google', { env: { ...env, ...extra } });
    return [secret?.reveal(), source];
  };
  assert.deepEqual(read({ GOOGLE_API_KEY: 'env' }), ['env', 'GOOGLE_API_KEY']);
  assert.deepEqual(read({ GOOGLE_API_KEY: '', GEMINI_API_KEY: ' \n' }), ['file', 'file']);
});

test('readKey() is absent with a warning for an empty, huge or unreadable file', (t) => {
  const home = createHome(t);
  const options = { env: { EXOCLAW_HOME: home } };
  const folder = join(home, 'credentials');
  mkdirSync(folder);
  const path = join(folder, 'openai.key');
  const read = () => readKey('openai', options);
  assert.deepEqual(read(), { secret: undefined, source: undefined, warning: undefined });
  writeFileSync(path, ' \n');
  assert.match(read().warning ?? '', /is empty/);
  writeFileSync(path, 'SECRET'.repeat(10_000));
  assert.match(read().warning ?? '', /too large/);
  assert.doesNotMatch(read().warning ?? '', /SECRET/);
  writeFileSync(path, 'k');
  chmodSync(path, 0o000);
  const { secret, warning } = withoutRoot(path, read);
  assert.equal(secret, undefined);
  assert.match(warning ?? '', /Cannot read .*openai\.key \(EACCES\); the key counts as not stored/);
  mkdirSync(join(folder, 'anthropic.key'));
  assert.equal(readKey('anthropic', options).secret, undefined);
});

test('readKey() uses a key that others can read, and says how to close it', (t) => {
  const home = createHome(t);
  const options = { env: { EXOCLAW_HOME: home } };
  writeKey('openai', new Secret('k'), options);
  chmodSync(keyPath('openai', options), 0o644);
  const { secret, warning } = readKey('openai', options);
  assert.equal(secret?.reveal(), 'k');
  assert.match(warning ?? '', /chmod 600/);
});

test('keyPath() makes no path from a name that is not in the list', () => {
  for (const name of ['../../etc/passwd', 'constructor', '']) {
    assert.throws(() => keyPath(name as ProviderName, { env: {} }), TypeError);
  }
});

test('detectProvider() takes the first provider with a key, in the order of the list', () => {
  const detect = (keys: Record<string, string>) =>
    detectProvider({ env: { EXOCLAW_HOME: '/nowhere', ...keys } }).provider;
  assert.equal(detect({ OPENAI_API_KEY: 'o', ANTHROPIC_API_KEY: 'a' }), 'anthropic');
  assert.equal(detect({ GEMINI_API_KEY: 'g' }), 'google');
  assert.equal(detect({ OLLAMA_API_KEY: 'l' }), 'demo');
});

test('readToken() takes the flag, else EXOCLAW_TOKEN, and no empty one', () => {
  const env = { EXOCLAW_TOKEN: 'env' };
  assert.equal(readToken(env, 'flag')?.reveal(), 'flag');
  assert.equal(readToken(env, '')?.reveal(), 'env');
  assert.equal(readToken({ EXOCLAW_TOKEN: '' }, undefined), undefined);
  assert.equal(String(readToken(env, undefined)), '[secret]');
});

test('a key file ends with one line break and holds nothing else', (t) => {
  const options = { env: { EXOCLAW_HOME: createHome(t) } };
  writeKey('anthropic', new Secret('k'), options);
  assert.equal(readFileSync(keyPath('anthropic', options), 'utf8'), 'k\n');
});
