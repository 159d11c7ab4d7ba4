/** A gateway over its life: start, restart, changed configuration, bad input, stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import wabt from 'wabt';
import { openDaemon } from '../src/daemon.ts';
import { createSilentLog } from '../src/lib/log.ts';
import {
  connectClient,
  createHome,
  ECHO,
  eventsOf,
  spawnGateway,
  startDaemon,
  textOf,
  toConfig,
} from './daemon-harness.ts';
import { startProviderServer } from './provider-server.ts';

const log = createSilentLog();

test('without any configuration it starts with the labelled demo agent and the echo tool', async () => {
  using home = createHome();
  await using daemon = await openDaemon({ env: home.env, flags: { port: 0 }, log });
  assert.equal(daemon.demo, true);
  const client = await connectClient(daemon.url);
  const [hello] = client.frames;
  assert.partialDeepStrictEqual(hello, { ok: true, protocol: 1, demo: true });
  const frames = await client.chat('repeat good morning');
  assert.ok(eventsOf(frames).includes('tool_result'));
  assert.match(textOf(frames), /good morning/);
  client.close();
});

test('a conversation goes on after a restart, and its usage is still known', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: 'test-key' });
  await using provider = await startProviderServer();
  home.configure(toConfig(provider.url));
  for (const content of ['my name is Ada', 'what is my name?']) {
    await using daemon = await openDaemon({ env: home.env, log });
    const client = await connectClient(daemon.url);
    await client.chat(content);
    client.close();
  }
  assert.match(provider.requests[1]?.bodyText ?? '', /my name is Ada.*what is my name\?/s);
  await using daemon = await openDaemon({ env: home.env, log });
  const client = await connectClient(daemon.url);
  const usage = await client.call('usage.query');
  assert.partialDeepStrictEqual(usage, { result: { total: { calls: 2 } } });
  client.close();
});

test('changed bindings, agents and budgets count from the next message on', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const { daemon, home } = gateway;
  const client = await gateway.connect();
  await client.chat('hello');
  home.configure(
    toConfig(
      provider.url,
      `[[agents]]\nid = "other"\nprovider = "anthropic"\nmodel = "claude-other"\nbase_url = "${provider.url}"\nbudgets = { session = 100000 }\n
[[bindings]]\nagent_id = "other"\nchannel = "web"\naccount_id = "you"\n
[budgets]\nsession = 60\n`,
    ),
  );
  await daemon.reload();
  await client.chat('hello', { account: 'you' });
  assert.equal(provider.requests[1]?.body['model'], 'claude-other');
  await client.chat('and you?', { agent: 'other' });
  assert.equal(provider.requests[2]?.body['model'], 'claude-other');
  assert.equal((await client.chat('hm', { agent: 'nobody' }))[0]?.['code'], 'no_agent');
  const refused = await client.chat('hello again');
  assert.match(JSON.stringify(refused), /token budget exceeded \(session: \d+\/60\)/);
});

test('an edit of the file is taken over by itself; a broken one keeps the old configuration', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const { home } = gateway;
  const client = await gateway.connect();
  home.configure(`${toConfig(provider.url)}\n[budgets]\nsession = "lots"\n`);
  await gateway.daemon.reload();
  assert.equal(textOf(await client.chat('still there?')) === '', false);

  home.configure(toConfig(provider.url).replace('claude-test', 'claude-edited'));
  for (let tries = 0; provider.requests.at(-1)?.body['model'] !== 'claude-edited'; tries += 1) {
    assert.ok(tries < 500, 'the edit was never taken over');
    await client.chat('and now?', { account: `try${tries}` });
  }
});

test('a plugin that is missing, no WASM or hostile leaves the gateway running and says why', async () => {
  await using provider = await startProviderServer();
  using files = createHome();
  const text = path.join(files.path, 'text.wasm');
  writeFileSync(text, 'hello');
  const component = path.join(files.path, 'component.wasm');
  writeFileSync(component, Buffer.from('0061736d0d000100', 'hex'));
  await using gateway = await startDaemon(
    toConfig(
      provider.url,
      [
        ['missing', path.join(files.path, 'missing.wasm')],
        ['text', text],
        ['component', component],
      ]
        .map(([name, file]) => `[[plugins]]\nname = "${name}"\npath = "${file}"\n`)
        .concat(`[[plugins]]\nname = "swapped"\npath = "${ECHO}"\ndigest = "${'0'.repeat(64)}"\n`)
        .join('\n'),
    ),
  );
  const states = new Map(
    gateway.daemon.plugins.list().map(({ name, state, error }) => [name, error ?? state]),
  );
  assert.equal(states.get('echo'), 'ready');
  assert.match(states.get('missing') ?? '', /no such file/);
  assert.match(states.get('text') ?? '', /WebAssembly/);
  assert.match(states.get('component') ?? '', /component/);
  assert.match(states.get('swapped') ?? '', /the configuration says 0{64}/);
  const client = await gateway.connect();
  assert.equal(textOf(await client.chat('hi')) === '', false);
});

test('a plugin that loops or crashes in describe is refused, and the gateway starts without it', async () => {
  await using provider = await startProviderServer();
  using files = createHome();
  const { parseWat } = await wabt();
  const configs = Object.entries({
    loops: '(loop $again (br $again)) (i32.const 0)',
    crashes: '(unreachable)',
  }).map(([name, body]) => {
    const file = path.join(files.path, `${name}.wasm`);
    const text = `(module
      (func (export "describe") (result i32) ${body})
      (func (export "handle_tool_call") (result i32) (i32.const 0)))`;
    writeFileSync(file, parseWat(name, text).toBinary({}).buffer);
    return `[[plugins]]\nname = "${name}"\npath = "${file}"\nlimits = { deadline_ms = 200 }\n`;
  });
  await using gateway = await startDaemon(toConfig(provider.url, configs.join('\n')));
  const errors = new Map(gateway.daemon.plugins.list().map(({ name, error }) => [name, error]));
  assert.match(errors.get('loops') ?? '', /"describe" failed: timeout/);
  assert.match(errors.get('crashes') ?? '', /"describe" failed: guest_trap/);
  const frames = await (await gateway.connect()).chat('hi');
  assert.deepEqual(eventsOf(frames).at(-1), 'done');
});

test('plugins follow the configuration: taken out they are gone, put back they are offered', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const client = await gateway.connect();
  const offered = async (config: string) => {
    gateway.home.configure(config);
    await gateway.daemon.reload();
    await client.chat('hello');
    return JSON.stringify(provider.requests.at(-1)?.body['tools'] ?? []).includes('echo');
  };
  const full = toConfig(provider.url);
  const bare = full.replace('tools = ["echo"]', '').replace(/\[\[plugins\]\][^[]*/u, '');
  assert.deepEqual([await offered(bare), await offered(full)], [false, true]);
});

test('a plugin can be loaded and unloaded while running; a failed load changes nothing', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const client = await gateway.connect();
  assert.partialDeepStrictEqual(await client.call('plugin.unload', { name: 'echo' }), {
    result: { unloaded: true },
  });
  await client.chat('hello');
  assert.equal(provider.requests[0]?.body['tools'], undefined);
  const failed = await client.call('plugin.load', { name: 'echo', path: '/nowhere.wasm' });
  assert.equal(failed['code'], 'plugin_error');
  assert.doesNotMatch(String(failed['error']), /nowhere/);
  await client.call('plugin.load', { name: 'echo' });
  await client.chat('hello');
  assert.match(JSON.stringify(provider.requests[1]?.body['tools']), /echo/);
});

test('a second gateway on the same store, or on the same port, is refused in words', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const { env } = gateway.home;
  await assert.rejects(openDaemon({ env, log }), { code: 'store_error' });
  using other = createHome();
  const port = new URL(gateway.url).port;
  await assert.rejects(openDaemon({ env: other.env, flags: { port }, log }), {
    code: 'config_error',
    message: new RegExp(`Port ${port} is in use`),
  });
});

test('a bind that is not loopback does not start without a token', async () => {
  using home = createHome();
  const flags = { bind: '0.0.0.0', port: 0 };
  await assert.rejects(openDaemon({ env: home.env, flags, log }), /EXOCLAW_TOKEN/);
});

test('an unreadable key counts as absent and the chat says how to add one', async () => {
  using home = createHome();
  mkdirSync(path.join(home.path, 'credentials'));
  // A folder where the file should be can't be read by root either.
  mkdirSync(path.join(home.path, 'credentials', 'anthropic.key'));
  home.configure('[agent]\nprovider = "anthropic"\n');
  await using daemon = await openDaemon({ env: home.env, log });
  const client = await connectClient(daemon.url);
  const frames = await client.chat('hello');
  const error = frames.find((frame) => frame['event'] === 'error');
  assert.equal(error?.['code'], 'no_api_key');
  assert.match(String(error?.['data']), /exoclaw onboard/);
  client.close();
});

test('a home that can not be written says so and does not crash', async () => {
  using home = createHome();
  const folder = path.join(home.path, 'locked');
  writeFileSync(folder, 'a file where the home should be');
  chmodSync(folder, 0o400);
  await assert.rejects(
    openDaemon({ env: { ...home.env, EXOCLAW_HOME: folder }, flags: { port: 0 }, log }),
    (error: Error & { code?: string }) =>
      error.code === 'store_error' || error.code === 'config_error',
  );
});

test('SIGTERM lets the running turn finish, then the process ends with 0', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: 'test-key' });
  await using provider = await startProviderServer();
  home.configure(toConfig(provider.url));
  const gate = Promise.withResolvers<void>();
  provider.script({ steps: [{ text: 'almost ' }, { wait: gate.promise }, { text: 'done' }] });
  const { child, url } = await spawnGateway(home);
  const client = await connectClient(url);
  const running = client.chat('hello');
  await client.waitFor(({ event }) => event === 'text');
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  while ((await fetch(`${url}/ready`)).status !== 503) await new Promise(setImmediate);
  const late = await client.chat('too late');
  assert.equal(late[0]?.['code'], 'shutting_down');
  gate.resolve();
  assert.equal(textOf(await running), 'almost done');
  assert.deepEqual(await exited, [0, null]);
});

test('a second signal ends the process at once', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: 'test-key' });
  await using provider = await startProviderServer();
  home.configure(toConfig(provider.url));
  provider.script({ steps: [{ text: 'never ' }, { hang: true }] });
  const { child, url } = await spawnGateway(home);
  const client = await connectClient(url);
  client.chat('hello').catch(() => undefined);
  await client.waitFor(({ event }) => event === 'text');
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  while ((await fetch(`${url}/ready`)).status !== 503) await new Promise(setImmediate);
  child.kill('SIGTERM');
  const [code] = (await exited) as [number | null];
  assert.notEqual(code, 0);
});

test('the example configuration is valid and loads its plugins', async () => {
  using home = createHome({
    EXOCLAW_CONFIG: path.join(path.dirname(ECHO), '../../../examples/config.toml'),
  });
  await using daemon = await openDaemon({ env: home.env, flags: { port: 0 }, log });
  assert.deepEqual(
    new Map(daemon.plugins.list().map(({ name, state }) => [name, state])),
    new Map([
      ['echo', 'ready'],
      ['mock-channel', 'ready'],
    ]),
  );
  assert.deepEqual(daemon.loaded.warnings, []);
});
