import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { ConfigError, formatDiagnostic } from './diagnostic.ts';
import type { Env } from './env.ts';
import { loadConfig, parseConfig } from './load.ts';
import { configJsonSchema } from './schema.ts';
import { createHome } from './temp.fixture.ts';

const ENV: Env = { HOME: '/nowhere/person' };
const PATH = '/nowhere/c.toml';

const parse = (text: string, env: Env = ENV) => parseConfig(text, { path: PATH, env });

/** The problems of a text, without the path of the file. */
function problemsOf(text: string, env: Env = ENV): string[] {
  try {
    parse(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.diagnostics.map(show);
    throw error;
  }
  return [];
}

const show = (diagnostic: Parameters<typeof formatDiagnostic>[0]): string =>
  formatDiagnostic(diagnostic).replace(`${PATH}:`, '');

test('loadConfig() lists five different mistakes at once, each with its line and column', () => {
  const problems = problemsOf(`[gateway]
port = 99999

[agent]
provider = "antropic"
tools = ["echo", "ech"]

[[plugins]]
name = "echo"
path = "echo.wasm"
capabilities = [
  "http:a.example",
  "htpp:b.example",
]

[[bindings]]
agent_id = "nobody"
peer_id = 7
`);
  assert.deepEqual(
    problems.map((problem) => problem.split(': ', 2).join(' ')),
    [
      '2:8 gateway.port',
      '5:12 agent.provider',
      '6:18 agent.tools[1]',
      '13:3 plugins[0].capabilities[1]',
      '17:12 bindings[0].agent_id',
      '18:11 bindings[0].peer_id',
    ],
  );
  assert.match(problems[0] ?? '', /must be at most 65535, not 99999$/);
  assert.match(problems[1] ?? '', /allowed: "anthropic", .*did you mean "anthropic"/);
  assert.match(
    problems[2] ?? '',
    /no \[\[plugins\]\] has the name "ech" \(did you mean "echo"\?\)/,
  );
  assert.match(problems[3] ?? '', /did you mean "http"\?\) \(allowed: http:HOST, store:NAME/);
});

test('loadConfig() says where TOML itself is broken', () => {
  assert.deepEqual(problemsOf('[agent]\nid = = 1\n'), [
    '2:6: Unexpected token (this is not valid TOML)',
  ]);
  assert.match(problemsOf('a = 1\na = 2\n')[0] ?? '', /^2:1: /);
});

test('loadConfig() warns of an unknown key with the one that was meant', () => {
  const { warnings } = parse('[gateway]\nprot = 1\n[agent]\nmax-tokens = 5\nhumour = 3\n');
  assert.deepEqual(
    warnings.map(show).map((line) => line.replace(/, provider.*/, '')),
    [
      '2:1: gateway.prot: is not known and has no effect (did you mean "port"?)',
      '4:1: agent.max-tokens: is not known and has no effect (did you mean "max_tokens"?)',
      '5:1: agent.humour: is not known and has no effect (allowed: id',
    ],
  );
});

test('loadConfig() keeps the warnings beside the errors', () => {
  assert.throws(
    () => parse('[agnet]\n[gateway]\nport = -1\n'),
    (error) => error instanceof ConfigError && error.warnings.length === 1,
  );
});

test('loadConfig() refuses a secret wherever it stands, and does not repeat it', () => {
  for (const [text, remedy] of [
    [
      '[agent]\nprovider = "openai"\napi_key = ',
      /onboard --provider openai", or set OPENAI_API_KEY/,
    ],
    ['api_key = ', /onboard/],
    ['[gateway]\ntoken = ', /EXOCLAW_TOKEN/],
    ['[[agents]]\nid = "a"\nprovider = "google"\nAPIKEY = ', /GEMINI_API_KEY/],
    ['[agent.fallback]\nprovider = "anthropic"\nanthropic_api_key = ', /ANTHROPIC_API_KEY/],
    ['[providers.openai]\nkey = ', /^2:1: providers\.openai\.key: .*OPENAI_API_KEY/],
  ] as const) {
    const problems = problemsOf(`${text}"sk-SECRET"\n`).join('\n');
    assert.match(problems, remedy);
    assert.doesNotMatch(problems, /SECRET/);
  }
  const url = '[agent]\nprovider = "openai"\nbase_url = "https://me:sk-SECRET@host/v1"\n';
  assert.match(problemsOf(url).join(), /^3:12: [^S]*without user name, password[^S]*$/);
});

test('loadConfig() prefers flags to environment to file to defaults', () => {
  const file = '[gateway]\nport = 1111\nbind = "0.0.0.0"\n[log]\nlevel = "warn"\n';
  const port = (text: string, env: Env, flag?: string) =>
    parseConfig(text, { path: PATH, env: { ...ENV, ...env }, flags: { port: flag } }).config.gateway
      .port;
  assert.equal(port('', {}), 7200);
  assert.equal(port(file, {}), 1111);
  assert.equal(port(file, { EXOCLAW_PORT: '2222' }), 2222);
  assert.equal(port(file, { EXOCLAW_PORT: '2222' }, '3333'), 3333);
  assert.equal(port(file, { EXOCLAW_PORT: '' }), 1111);
  const env = { ...ENV, EXOCLAW_BIND: '::1', EXOCLAW_LOG: 'debug', EXOCLAW_TOKEN: 'from env' };
  const { config } = parse(file, env);
  assert.equal(config.gateway.bind, '::1');
  assert.equal(config.log.level, 'debug');
  assert.equal(config.gateway.token?.reveal(), 'from env');
  const flags = { token: 'from flag' };
  const { token } = parseConfig(file, { path: PATH, env, flags }).config.gateway;
  assert.equal(token?.reveal(), 'from flag');
});

test('loadConfig() names the variable or flag that is wrong, not a line of the file', () => {
  const options = { path: PATH, env: { ...ENV, EXOCLAW_LOG: 'loud' }, flags: { port: '80a' } };
  assert.throws(
    () => parseConfig('[gateway]\nport = 1\n', options),
    (error) =>
      error instanceof ConfigError &&
      error.diagnostics.map(formatDiagnostic).join('\n') ===
        `--port: gateway.port: must be a number, not "80a"
EXOCLAW_LOG: log.level: is "loud" (allowed: "trace", "debug", "info", "warn", "error", "fatal", "silent")`,
  );
});

test('loadConfig() finds a provider by its key where none is configured, else falls back to demo', () => {
  const agentOf = (text: string, env: Env) => parse(text, { ...ENV, ...env }).config.agents[0];
  const keys = { OPENAI_API_KEY: 'o', GEMINI_API_KEY: 'g' };
  assert.deepEqual(
    [
      agentOf('', keys),
      agentOf('', {}),
      agentOf('[agent]\nid = "me"\nprovider = "google"', keys),
    ].map((agent) => [agent?.id, agent?.provider, agent?.source]),
    [
      ['default', 'openai', 'detected'],
      ['default', 'demo', 'demo'],
      ['me', 'google', 'file'],
    ],
  );
});

test('loadConfig() with the demo flag takes every agent offline', () => {
  const text = `[agent]
provider = "openai"
model = "m"
[agent.fallback]
provider = "anthropic"
[[agents]]
id = "b"
provider = "openai-compatible"
model = "m"
base_url = "http://localhost/v1"
`;
  const { agents } = parseConfig(text, { path: PATH, env: ENV, flags: { demo: true } }).config;
  for (const { provider, source, model, baseUrl, fallback } of agents) {
    assert.deepEqual([provider, source, model], ['demo', 'demo', 'demo']);
    assert.deepEqual([baseUrl, fallback], [undefined, undefined]);
  }
});

test('loadConfig() has no default agent where the file has others only', () => {
  const { config } = parse('[[agents]]\nid = "a"\nprovider = "demo"\n');
  assert.equal(config.defaultAgentId, undefined);
  assert.equal(parse('').config.defaultAgentId, 'default');
  assert.equal(parse('[agent]\nid = "x"\n[[agents]]\nid = "a"\n').config.defaultAgentId, 'x');
});

test('loadConfig() refuses names that are taken, missing or lead nowhere', () => {
  const plugin = (name: string) => `[[plugins]]\nname = "${name}"\npath = "x.wasm"\n`;
  assert.match(problemsOf(plugin('a') + plugin('a'))[0] ?? '', /^5:8: plugins\[1\]\.name: another/);
  assert.match(
    problemsOf('[agent]\nid = "a"\n[[agents]]\nid = "a"\n')[0] ?? '',
    /^4:6: agents\[0\]\.id/,
  );
  assert.match(problemsOf('[[agents]]\nid = "default"\n[agent]\n')[0] ?? '', /another agent/);
  assert.match(problemsOf('[agent]\ntools = ["x"]\n')[0] ?? '', /^2:10: .*there is none yet/);
  assert.match(
    problemsOf('[[bindings]]\nagent_id = "default"\n')[0] ?? '',
    /at least one of channel/,
  );
  assert.deepEqual(problemsOf('[[bindings]]\nagent_id = "default"\nchannel = "x"\n'), []);
  assert.match(problemsOf('[agent]\nmodel = "m"\n')[0] ?? '', /needs "provider"/);
  assert.match(
    problemsOf('[agent]\nprovider = "openai-compatible"\n').join('\n'),
    /model.*\n.*base_url/,
  );
});

test('loadConfig() takes keys such as __proto__ as the plain keys they are', () => {
  const { warnings } = parse(`[__proto__]
a = 1
[constructor.prototype]
a = 1
[agent]
__proto__.a = 1
[x]
y = { __proto__ = { a = 1 } }
`);
  assert.deepEqual(
    warnings.map(({ path }) => path),
    ['agent.__proto__', '__proto__', 'constructor', 'x'],
  );
  assert.equal(Reflect.get({}, 'a'), undefined);
});

test('loadConfig() makes paths absolute from the folder of the file, and ~ from the home', (t) => {
  const home = createHome(t);
  const text = `[agent]
soul_path = "souls/me.md"
[[plugins]]
name = "e"
path = "~/e.wasm"
digest = "sha256:${'a'.repeat(64)}"
config = { snake_key = "kept" }
[plugins.limits]
deadline_ms = 5
[store]
path = "db/x.db"
`;
  const { config } = parseConfig(text, { path: join(home, 'c.toml'), env: { HOME: '/p' } });
  assert.equal(config.agents[0]?.soulPath, join(home, 'souls/me.md'));
  assert.equal(config.store.path, join(home, 'db/x.db'));
  assert.deepEqual(config.plugins[0], {
    name: 'e',
    path: '/p/e.wasm',
    digest: 'a'.repeat(64),
    capabilities: [],
    allowUnverified: false,
    config: { snake_key: 'kept' },
    limits: { deadlineMs: 5 },
  });
});

test('loadConfig() takes soul.md of the home for the default agent once it is there', (t) => {
  const home = createHome(t);
  const soul = () => loadConfig({ env: { EXOCLAW_HOME: home } }).config.agents[0]?.soulPath;
  assert.equal(soul(), undefined);
  writeFileSync(join(home, 'soul.md'), 'I am');
  assert.equal(soul(), join(home, 'soul.md'));
});

test('loadConfig() returns a frozen value that prints no secret', () => {
  const { config } = parse('', { ...ENV, EXOCLAW_TOKEN: 'sk-SECRET' });
  assert.throws(() => Object.assign(config.gateway.limits, { queue: 1 }), TypeError);
  assert.ok(Object.isFrozen(config.agents[0]?.tools));
  assert.doesNotMatch(inspect(config, { depth: 9 }) + JSON.stringify(config), /SECRET/);
});

test('loadConfig() needs no file of its own, but the one that is named', (t) => {
  const home = createHome(t);
  const env = { EXOCLAW_HOME: home };
  const { exists, path } = loadConfig({ env });
  assert.deepEqual([exists, path], [false, join(home, 'config.toml')]);
  const named = { ...env, EXOCLAW_CONFIG: join(home, 'mine.toml') };
  assert.throws(() => loadConfig({ env: named }), /mine\.toml: does not exist/);
  writeFileSync(join(home, 'mine.toml'), '\uFEFF[gateway]\r\nport = 1\r\n');
  assert.equal(loadConfig({ env: named }).config.gateway.port, 1);
});

test('loadConfig() says why a file can not be read', (t) => {
  const home = createHome(t);
  const path = join(home, 'config.toml');
  mkdirSync(path);
  assert.throws(
    () => loadConfig({ path, env: ENV }),
    /config\.toml: can not be read: it is a folder/,
  );
  const binary = join(home, 'binary.toml');
  writeFileSync(binary, Buffer.from([0x61, 0xff, 0xfe]));
  assert.throws(() => loadConfig({ path: binary, env: ENV }), /it is not UTF-8/);
});

test('loadConfig() passes on what is wrong with a key file it looked for', (t) => {
  const home = createHome(t);
  mkdirSync(join(home, 'credentials'));
  writeFileSync(join(home, 'credentials', 'anthropic.key'), '\n');
  const { warnings, config } = loadConfig({ env: { EXOCLAW_HOME: home } });
  assert.equal(config.agents[0]?.provider, 'demo');
  assert.match(warnings[0]?.message ?? '', /anthropic\.key is empty/);
});

test('configJsonSchema() describes every key', () => {
  const undescribed: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (typeof schema !== 'object' || schema === null) return;
    const { properties = {}, items } = schema as { properties?: object; items?: unknown };
    for (const [key, child] of Object.entries(properties)) {
      if (!Object.hasOwn(child, 'description')) undescribed.push(`${path}.${key}`);
      visit(child, `${path}.${key}`);
    }
    visit(items, `${path}[]`);
  };
  visit(configJsonSchema(), '');
  assert.deepEqual(undescribed, []);
});
