import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FROM_CHILD, TO_CHILD } from './child/frames.ts';
import { childArguments, SandboxProcess, type RequestOutcome } from './process.ts';

const HOSTILE = fileURLToPath(new URL('./fixtures/hostile-child.ts', import.meta.url));
const PROBE = fileURLToPath(new URL('./fixtures/probe-child.ts', import.meta.url));

async function attack(name: string): Promise<RequestOutcome> {
  await using child = await SandboxProcess.start({
    execPath: process.execPath,
    entry: HOSTILE,
    kernel: Buffer.from(name),
  });
  let logs = 0;
  const outcome = await child.request({
    type: TO_CHILD.call,
    body: [],
    answers: [FROM_CHILD.result],
    deadlineMs: 5_000,
    onLog: () => (logs += 1) <= 10,
  });
  assert.ok(logs <= 11);
  // A frame that nobody asked for is found when it comes, not when it is read.
  if (name === 'two answers') await child.exited;
  assert.equal(child.isDead, true);
  return outcome;
}

for (const name of [
  'unknown type',
  'type for the host',
  'second ready',
  'other call',
  'call 0',
  'length of 4 GiB',
  'reserved field',
  'log flood',
  'log of no level',
]) {
  test(`a process that sends ${name} is killed for breach of the protocol`, async () => {
    const outcome = await attack(name);
    assert.equal(outcome.kind === 'died' && outcome.death.reason, 'protocol');
  });
}

test('a process that answers twice is killed, and the first answer stands', async () => {
  assert.equal((await attack('two answers')).kind, 'frame');
});

for (const [name, signal] of [
  ['end of stream', 'SIGKILL'],
  ['exit', undefined],
  ['abort', 'SIGABRT'],
] as const) {
  test(`a process that ends by ${name} gives one outcome`, async () => {
    const outcome = await attack(name);
    assert.ok(outcome.kind === 'died');
    assert.equal(outcome.death.reason, 'crash');
    assert.equal(outcome.death.signal, signal);
  });
}

test('what a process prints is kept in bounds', async () => {
  const outcome = await attack('flood of standard error');
  assert.ok(outcome.kind === 'died');
  assert.match(outcome.death.detail, /^ended with code 8: x+/);
  assert.ok(outcome.death.detail.length < 3_000);
});

test('a process without an answer is killed at the deadline, and one that is aborted at once', async () => {
  const request = { type: TO_CHILD.call, body: [], answers: [FROM_CHILD.result] };
  const runtime = { execPath: process.execPath, entry: HOSTILE, kernel: Buffer.from('silent') };
  await using slow = await SandboxProcess.start(runtime);
  const late = await slow.request({ ...request, deadlineMs: 20 });
  assert.equal(late.kind === 'died' && late.death.reason, 'timeout');
  await using aborted = await SandboxProcess.start(runtime);
  const controller = new AbortController();
  const waiting = aborted.request({ ...request, deadlineMs: 60_000, signal: controller.signal });
  controller.abort();
  const outcome = await waiting;
  assert.equal(outcome.kind === 'died' && outcome.death.reason, 'cancelled');
  const after = await aborted.request({ ...request, deadlineMs: 60_000 });
  assert.equal(after.kind === 'died' && after.death.reason, 'cancelled');
});

test('a process that cannot be started is an error', async () => {
  const runtime = { execPath: '/nonexistent/node', entry: HOSTILE, kernel: new Uint8Array(0) };
  await assert.rejects(SandboxProcess.start(runtime), /did not start: .*ENOENT/);
});

test('a process ends when its host is gone', async () => {
  const child = spawn(process.execPath, childArguments(HOSTILE), {
    env: {},
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.stdio[3]?.destroy();
  assert.equal(await ended, 0);
});

test('the flags of a process deny files, network, programs, threads and code from text', async () => {
  const child = spawn(process.execPath, childArguments(PROBE), {
    env: {},
    cwd: '/',
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  const report = JSON.parse(await text(child.stdio[3] as Readable)) as {
    readonly denied: Readonly<Record<string, string>>;
    readonly env: readonly string[];
    readonly cwd: string;
  };
  assert.deepEqual(report.env, []);
  assert.equal(report.cwd, '/');
  const access = 'ERR_ACCESS_DENIED';
  assert.deepEqual(report.denied, {
    'read a file': access,
    'read the host sources': access,
    'list a folder': access,
    'write a file': access,
    'run a program': access,
    'start a thread': access,
    connect: access,
    listen: access,
    'resolve a name': access,
    fetch: access,
    'load the database module': 'ERR_UNKNOWN_BUILTIN_MODULE',
    'load WASI': access,
    'make code of text': 'EvalError: Code generation from strings disallowed for this context',
    'change a prototype': 'ERR_PROTO_ACCESS',
  });
});
