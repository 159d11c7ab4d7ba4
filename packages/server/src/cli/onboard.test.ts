import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Secret } from '../lib/secret.ts';
import { applyOnboarding, type OnboardChoice } from './onboarding.ts';
import { createHome, runExoclaw } from './run.fixture.ts';

const KEY = 'sk-SECRET-42';

const choose = (choice: Partial<OnboardChoice>): OnboardChoice => ({
  provider: 'anthropic',
  model: undefined,
  baseUrl: undefined,
  key: undefined,
  ...choice,
});

test('onboard stores the key from stdin and says nothing of it', async (t) => {
  const home = createHome(t);
  const args = ['onboard', '--provider', 'anthropic', '--key-stdin'];
  const { code, stdout, stderr } = await runExoclaw(home, args, { input: `${KEY}\n` });
  assert.equal(code, 0);
  assert.doesNotMatch(stdout + stderr, /SECRET/);
  const path = join(home, 'credentials', 'anthropic.key');
  assert.equal(readFileSync(path, 'utf8'), `${KEY}\n`);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const config = readFileSync(join(home, 'config.toml'), 'utf8');
  assert.match(config, /^\[agent\]\nprovider = "anthropic"\nmodel = ".+"\n$/m);
  assert.doesNotMatch(config, /SECRET/);
});

test('onboard takes the key from a named variable, and --json says where things are', async (t) => {
  const home = createHome(t);
  const args = [
    'onboard',
    '--provider',
    'openai',
    '--model',
    'm',
    '--api-key-env',
    'MINE',
    '--json',
  ];
  const { stdout } = await runExoclaw(home, args, { env: { MINE: KEY } });
  assert.deepEqual(JSON.parse(stdout), {
    provider: 'openai',
    model: 'm',
    config: join(home, 'config.toml'),
    key: 'stored',
    warnings: [],
  });
});

test('onboard without a terminal takes the provider whose key is in the environment', async (t) => {
  const home = createHome(t);
  const { code, stdout } = await runExoclaw(home, ['onboard'], { env: { GEMINI_API_KEY: KEY } });
  assert.equal(code, 0);
  assert.match(stdout, /Google Gemini/);
  assert.equal(existsSync(join(home, 'credentials')), false);
});

test('onboard refuses an empty, broken or missing key and writes nothing', async (t) => {
  const home = createHome(t);
  const provider = ['onboard', '--provider', 'anthropic'];
  const before = new Set(['cache']);
  for (const [args, input, code, message] of [
    [[...provider, '--key-stdin'], '', 1, /The key is empty/],
    [[...provider, '--key-stdin'], ' \n', 1, /The key is empty/],
    [[...provider, '--key-stdin'], 'SECRET two', 1, /spaces, line breaks/],
    [[...provider, '--key-stdin'], 'SECRET'.repeat(20_000), 2, /too long/],
    [[...provider, '--yes'], '', 1, /No key for provider "anthropic": set ANTHROPIC_API_KEY/],
    [[...provider, '--api-key-env', 'sk-SECRET'], '', 1, /names is not set/],
    [[...provider, '--key-stdin', '--api-key-env', 'HOME'], '', 2, /Give the key once/],
    [['onboard'], '', 2, /Say which provider: .*demo needs no key/],
    [['onboard', '--provider', 'antropic'], '', 2, /did you mean "anthropic"/],
    [['onboard', '--provider', 'openai-compatible', '--model', 'm'], '', 2, /needs --base-url/],
    [['onboard', '--provider', 'demo', '--key-stdin'], 'k', 1, /takes no key/],
    [
      ['onboard', '--provider', 'ollama', '--base-url', 'ftp://x'],
      '',
      1,
      /base_url: must be a URL/,
    ],
  ] as const) {
    const outcome = await runExoclaw(home, args, { input });
    assert.match(outcome.stderr, message);
    assert.equal(outcome.code, code);
    assert.doesNotMatch(outcome.stdout + outcome.stderr, /SECRET/);
    assert.deepEqual(
      readdirSync(home).filter((name) => !before.has(name)),
      [],
    );
  }
});

test('onboard keeps the rest of a configuration, comments and all', (t) => {
  const home = createHome(t);
  const env = { EXOCLAW_HOME: home, OPENAI_API_KEY: 'k' };
  const path = join(home, 'config.toml');
  const text = `# mine
[gateway]
port = 7300 # not the usual one

[agent] # talks to me
id = "personal"
provider = "openai-compatible" # for now
base_url = "http://localhost:8000/v1"
model = "local"
system_prompt = "Be kind" # always

# who may talk
[[bindings]]
agent_id = "personal"
peer_id = "me"
`;
  writeFileSync(path, text);
  applyOnboarding(choose({ provider: 'openai', model: 'gpt' }), env);
  assert.equal(
    readFileSync(path, 'utf8'),
    text
      .replace('"openai-compatible"', '"openai"')
      .replace('base_url = "http://localhost:8000/v1"\n', '')
      .replace('"local"', '"gpt"'),
  );
});

test('onboard again for the same provider keeps its model and endpoint', (t) => {
  const home = createHome(t);
  const env = { EXOCLAW_HOME: home };
  const text = '[agent]\nprovider = "ollama"\nmodel = "mine"\nbase_url = "http://box:11434/v1"\n';
  writeFileSync(join(home, 'config.toml'), text);
  applyOnboarding(choose({ provider: 'ollama' }), env);
  assert.equal(readFileSync(join(home, 'config.toml'), 'utf8'), text);
});

test('onboard leaves a broken configuration and the keys alone', (t) => {
  const home = createHome(t);
  const env = { EXOCLAW_HOME: home };
  for (const text of ['[agent\n', '[gateway]\nport = "x"\n', 'agent = 3\n']) {
    writeFileSync(join(home, 'config.toml'), text);
    const choice = choose({ key: new Secret(KEY) });
    assert.throws(() => applyOnboarding(choice, env), { code: 'config_error' });
    assert.equal(readFileSync(join(home, 'config.toml'), 'utf8'), text);
    assert.equal(existsSync(join(home, 'credentials')), false);
  }
});

test('onboard says that a variable wins over the key it has stored', (t) => {
  const env = { EXOCLAW_HOME: createHome(t), ANTHROPIC_API_KEY: 'other' };
  const { warnings } = applyOnboarding(choose({ key: new Secret(KEY) }), env);
  assert.match(warnings[0] ?? '', /^ANTHROPIC_API_KEY is set in the environment and wins/);
});

test('onboard in a home that can not be written fails in one line and stores no key', (t) => {
  const home = createHome(t);
  const credentials = join(home, 'credentials');
  mkdirSync(credentials);
  const env = { EXOCLAW_HOME: home };
  const run = () => applyOnboarding(choose({ key: new Secret(KEY) }), env);
  const isRoot = process.getuid?.() === 0;
  // The key could be stored; the configuration beside it could not.
  chmodSync(home, 0o555);
  if (isRoot) {
    chownSync(credentials, 65_534, 65_534);
    process.seteuid?.(65_534);
  }
  try {
    assert.throws(run, {
      code: 'config_error',
      message: /^Cannot write to .*EACCES.*nothing was changed$/,
    });
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(home, 0o755);
  }
  assert.deepEqual(readdirSync(credentials), []);
});
