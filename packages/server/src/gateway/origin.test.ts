import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkOrigin, isLoopback, type OriginPolicy } from './origin.ts';

const LOCAL: OriginPolicy = {
  bind: '127.0.0.1',
  port: 7200,
  allowedOrigins: ['https://chat.example.org'],
  allowedHosts: ['gateway.lan', 'tunnel.example:8443'],
};

function isAllowed(host: string | undefined, origin?: string, policy = LOCAL): boolean {
  const headers = {
    ...(host === undefined ? {} : { host }),
    ...(origin === undefined ? {} : { origin }),
  };
  return checkOrigin(headers, policy) === undefined;
}

test('on loopback only names of loopback and allowed hosts are served', () => {
  for (const host of [
    'localhost',
    'localhost:7200',
    'LOCALHOST:7200',
    '127.0.0.1:7200',
    '127.0.0.1:8080',
    '127.3.2.1',
    '[::1]:7200',
    'gateway.lan',
    'gateway.lan:443',
    'tunnel.example:8443',
  ]) {
    assert.equal(isAllowed(host), true, host);
  }
  for (const host of [
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    'evil.localhost',
    '127.0.0.1.nip.io',
    '127.0.0.1@evil.example',
    'localhost:7200@evil.example',
    'localhost,evil.example',
    'localhost/evil',
    'tunnel.example',
    'tunnel.example:1',
    '0.0.0.0:7200',
    '[::ffff:127.0.0.1]',
    '::1',
    '[::1].evil.example',
  ]) {
    assert.equal(isAllowed(host), false, host ?? 'no Host');
  }
});

test('on another bind every Host is served', () => {
  assert.equal(isAllowed('gateway.example', undefined, { ...LOCAL, bind: '0.0.0.0' }), true);
});

test('an Origin must be the own host or an allowed one', () => {
  const host = 'localhost:7200';
  for (const origin of [
    'http://localhost:7200',
    'https://localhost:7200',
    'http://127.0.0.1:7200',
    'http://[::1]:7200',
    'https://chat.example.org',
    'https://chat.example.org:443',
  ]) {
    assert.equal(isAllowed(host, origin), true, origin);
  }
  for (const origin of [
    'null',
    '',
    'http://localhost',
    'http://localhost:3000',
    'http://evil.example',
    'http://chat.example.org',
    'https://chat.example.org.evil.example',
    'https://evil-chat.example.org',
    'file://',
    'chrome-extension://abcdef',
    'ftp://localhost:7200',
    'javascript:alert(1)',
  ]) {
    assert.equal(isAllowed(host, origin), false, origin);
  }
});

test('behind TLS the default port of the Origin is the one the Host leaves out', () => {
  const policy = { ...LOCAL, bind: '0.0.0.0' };
  assert.equal(isAllowed('gateway.example', 'https://gateway.example', policy), true);
  assert.equal(isAllowed('gateway.example:443', 'https://gateway.example', policy), true);
  assert.equal(isAllowed('gateway.example', 'https://other.example', policy), false);
});

test('isLoopback() knows the addresses only this machine can reach', () => {
  for (const address of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
    assert.equal(isLoopback(address), true, address);
  }
  for (const address of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', '']) {
    assert.equal(isLoopback(address), false, address);
  }
});
