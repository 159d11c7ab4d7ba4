/** The command line beside a running gateway, as a person and as a script would use it. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { createHome, ECHO, spawnGateway, toConfig, type Home } from './daemon-harness.ts';
import { startProviderServer } from './provider-server.ts';

const BIN = path.join(import.meta.dirname, '../bin/exoclaw.js');

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function exoclaw(home: Home, args: readonly string[], input = ''): Promise<Outcome> {
  const env = { PATH: process.env['PATH'], NO_COLOR: '1', ...home.env };
  const child = spawn(process.execPath, [BIN, ...args], { env, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString('utf8')));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString('utf8')));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

test('chat, status, sessions, usage and plugin list talk to the running gateway', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: 'test-key' });
  await using provider = await startProviderServer();
  home.configure(toConfig(provider.url, '[budgets]\ndaily = 100000\n'));
  const gateway = await spawnGateway(home);
  try {
    provider.script(
      {
        steps: [{ toolCall: { id: 't1', name: 'echo', input: { text: 'hi' } } }],
        usage: { input: 30, output: 5 },
      },
      { steps: [{ text: 'The tool ' }, { text: 'said hi.' }], usage: { input: 40, output: 6 } },
    );
    const url = ['--url', gateway.url];
    const chat = await exoclaw(home, ['chat', ...url, 'use', 'the', 'tool']);
    assert.deepEqual([chat.code, chat.stdout.trim()], [0, 'The tool said hi.']);
    assert.match(chat.stderr, /echo.*"hi"/);
    assert.match(provider.requests[0]?.bodyText ?? '', /use the tool/);

    const status = await exoclaw(home, ['status', ...url, '--json']);
    assert.partialDeepStrictEqual(JSON.parse(status.stdout), {
      sessions: 1,
      plugins: [{ name: 'echo', state: 'ready' }],
    });
    const sessions = await exoclaw(home, ['sessions', 'list', ...url]);
    assert.match(sessions.stdout, /personal:cli:local:main/);
    const usage = await exoclaw(home, ['usage', ...url, '--json']);
    assert.partialDeepStrictEqual(JSON.parse(usage.stdout), {
      total: { calls: 2, input_tokens: 70, output_tokens: 11 },
      budgets: [{ scope: 'all', period: 'day', used: 81, limit: 100000 }],
    });
    const plugins = await exoclaw(home, ['plugin', 'list', ...url]);
    assert.match(plugins.stdout, /echo\s+tool\s+ready/);
  } finally {
    gateway.child.kill('SIGKILL');
  }
});

test('chat without a gateway starts one in the process; a pipe gets one JSON document', async () => {
  using home = createHome({ EXOCLAW_PORT: '1' });
  const { code, stdout } = await exoclaw(home, ['chat', '--json'], 'repeat good evening\n');
  assert.equal(code, 0);
  const answer = JSON.parse(stdout) as { text: string; events: { event: string }[] };
  assert.match(answer.text, /good evening/);
  assert.ok(answer.events.some(({ event }) => event === 'tool_result'));
});

test('without a gateway, a command that needs one says how to start it', async () => {
  using home = createHome();
  const { code, stderr } = await exoclaw(home, ['status', '--url', 'http://127.0.0.1:1']);
  assert.equal(code, 1);
  assert.match(stderr, /No gateway answers at http:\/\/127\.0\.0\.1:1; start one/);
});

test('plugin call and plugin inspect need no gateway', async () => {
  using home = createHome();
  const call = await exoclaw(home, ['plugin', 'call', ECHO, 'handle_tool_call', '{"text":"hi"}']);
  assert.deepEqual([call.code, call.stdout.trim()], [0, 'hi']);
  const inspect = await exoclaw(home, ['plugin', 'inspect', ECHO, '--json']);
  assert.partialDeepStrictEqual(JSON.parse(inspect.stdout), { name: 'echo', type: 'tool' });
  const missing = await exoclaw(home, ['plugin', 'call', '/nowhere.wasm', 'describe']);
  assert.equal(missing.code, 2);
});

test('doctor names each problem with its remedy, and mends a key that others can read', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: '' });
  home.configure(`[agent]\nprovider = "anthropic"\n[[plugins]]\nname = "x"\npath = "no.wasm"\n`);
  const doctor = await exoclaw(home, ['doctor']);
  assert.equal(doctor.code, 1);
  assert.match(doctor.stdout, /problem\s+key of anthropic: there is none\s+run "exoclaw onboard"/);
  assert.match(doctor.stdout, /problem\s+plugin x: .*no such file/);

  home.configure('[agent]\nid = 5\nprovider = "antropic"\n');
  const broken = await exoclaw(home, ['doctor']);
  assert.equal(broken.code, 1);
  assert.match(broken.stdout, /config\.toml:\d+:\d+: agent\.id/);
  assert.match(broken.stdout, /config\.toml:\d+:\d+: agent\.provider/);
});

test('in a terminal, Ctrl-C stops the answer and the conversation goes on', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: 'test-key' });
  await using provider = await startProviderServer();
  home.configure(toConfig(provider.url));
  provider.script(
    { steps: [{ text: 'I could go on for' }, { hang: true }] },
    { steps: [{ text: 'still here' }] },
  );
  const socket = path.join(home.path, 'tmux');
  const tmux = (...args: readonly string[]) =>
    new Promise<string>((resolve, reject) => {
      const env = { PATH: process.env['PATH'], TERM: 'xterm-256color', ...home.env };
      execFile('tmux', ['-S', socket, ...args], { env }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
    });
  const screen = async (wanted: RegExp): Promise<string> => {
    let text = '';
    for (let looks = 0; looks < 2000; looks += 1) {
      text = await tmux('capture-pane', '-p', '-t', 'chat');
      if (wanted.test(text)) return text;
    }
    throw new Error(`The screen never showed ${wanted.source}:\n${text}`);
  };
  await tmux(
    'new-session',
    '-d',
    '-s',
    'chat',
    '-x',
    '100',
    '-y',
    '30',
    process.execPath,
    BIN,
    'chat',
  );
  try {
    await screen(/^>/m);
    await tmux('send-keys', '-t', 'chat', 'talk to me', 'Enter');
    await screen(/I could go on for/);
    await tmux('send-keys', '-t', 'chat', 'C-c');
    await screen(/stopped/);
    await tmux('send-keys', '-t', 'chat', 'are you there?', 'Enter');
    await screen(/still here/);
  } finally {
    await tmux('kill-server').catch(() => undefined);
  }
});
