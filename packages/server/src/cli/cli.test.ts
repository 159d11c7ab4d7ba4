import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { VERSION } from '../config/version.ts';
import { escapeControl, formatPairs, formatTable } from './format.ts';
import { createHome, runExoclaw } from './run.fixture.ts';

test('--version and --help answer without loading the schema or a command', async (t) => {
  const home = createHome(t);
  const version = await runExoclaw(home, ['--version']);
  assert.deepEqual([version.code, version.stdout, version.stderr], [0, `${VERSION}\n`, '']);
  // What is loaded shows in the trace of the module loader.
  const help = await runExoclaw(home, ['--help'], { env: { NODE_DEBUG: 'esm' } });
  assert.equal(help.code, 0);
  assert.match(help.stdout, /onboard .*\n.*gateway /);
  assert.match(help.stderr, /cli\/cli\.ts/);
  assert.doesNotMatch(help.stderr, /node_modules\/(zod|citty|@clack|toml-eslint-parser)\//);
});

test('a command line that is wrong exits with 2 and says what was meant', async (t) => {
  const home = createHome(t);
  for (const [args, expected] of [
    [['confg'], 'Unknown command "confg" (did you mean "config"?)'],
    [['config', 'chek'], 'Unknown command "config chek" (did you mean "check"?)'],
    [['config'], 'Say what to do: exoclaw config check|path|schema'],
    [['config', 'check', '--jsn'], 'Unknown option --jsn (did you mean "--json"?)'],
    [['onboard', '--model'], '--model needs a value'],
    [['--foo=sk-SECRET'], 'Unknown option --foo'],
    [['onboard', '--api-key=sk-SECRET'], 'Unknown option --api-key'],
    [['onboard', 'sk-SECRET'], 'This command takes options only, no arguments'],
  ] as const) {
    const { code, stdout, stderr } = await runExoclaw(home, args);
    assert.deepEqual([code, stdout], [2, '']);
    assert.equal(stderr, `error: ${expected}\nRun exoclaw --help to see what there is\n`);
  }
});

test('--json puts an error on stdout, where a script reads it', async (t) => {
  const { code, stdout } = await runExoclaw(createHome(t), ['nope', '--json']);
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(stdout), {
    error: { code: 'usage', message: 'Unknown command "nope"' },
  });
});

test('a stack is printed with EXOCLAW_DEBUG only', async (t) => {
  const home = createHome(t);
  const args = ['onboard', '--provider', 'openai', '--yes'];
  const plain = await runExoclaw(home, args);
  assert.equal(plain.code, 1);
  assert.doesNotMatch(plain.stderr, /\n\s+at /);
  const debug = await runExoclaw(home, args, { env: { EXOCLAW_DEBUG: '1' } });
  assert.match(debug.stderr, /\n\s+at /);
});

test('config check exits with 1 and prints file:line:col for each problem', async (t) => {
  const home = createHome(t);
  const path = join(home, 'config.toml');
  const check = (...args: string[]) => runExoclaw(home, ['config', 'check', ...args]);
  assert.match((await check()).stdout, /not there, defaults apply/);
  writeFileSync(path, '[gateway]\nprot = 1\n[log]\nlevel = "info"\n');
  const warned = await check();
  assert.deepEqual([warned.code, warned.stdout], [0, `${path}: ok\n`]);
  assert.match(warned.stderr, /^warning: .*config\.toml:2:1: gateway\.prot: .*did you mean "port"/);
  writeFileSync(path, '[gateway]\nprot = 1\nport = -1\n[log]\nlevel = 3\n');
  const broken = await check();
  assert.equal(broken.code, 1);
  assert.deepEqual(
    broken.stderr.split('\n').map((line) => line.split(' ', 2).join(' ')),
    [`${path}:3:8: gateway.port:`, `${path}:5:9: log.level:`, `warning: ${path}:2:1:`, ''],
  );
  const json = JSON.parse((await check('--json')).stdout);
  assert.equal(json.ok, false);
  assert.deepEqual(
    json.problems.map((problem: { line: number }) => problem.line),
    [3, 5],
  );
});

test('config path follows EXOCLAW_CONFIG, config schema prints JSON Schema', async (t) => {
  const home = createHome(t);
  const env = { EXOCLAW_CONFIG: '/etc/exoclaw.toml' };
  assert.equal((await runExoclaw(home, ['config', 'path'], { env })).stdout, '/etc/exoclaw.toml\n');
  const schema = JSON.parse((await runExoclaw(home, ['config', 'schema'])).stdout);
  assert.equal(schema.properties.gateway.properties.port.default, 7200);
});

test('help of a command comes without colour where nobody sees it', async (t) => {
  const { code, stdout } = await runExoclaw(createHome(t), ['help', 'onboard']);
  assert.equal(code, 0);
  assert.match(stdout, /--key-stdin/);
  assert.equal(stdout, escapeControl(stdout));
});

test('formatTable() and formatPairs() line columns up, numbers to the right', () => {
  assert.equal(
    formatTable(
      ['name', 'n'],
      [
        ['a', 5],
        ['longer', 1000],
      ],
    ),
    'name    n\na          5\nlonger  1000',
  );
  assert.equal(
    formatPairs([
      ['a', 'x'],
      ['long', ''],
    ]),
    'a     x\nlong',
  );
});

test('escapeControl() leaves a terminal nothing to obey', () => {
  assert.equal(
    escapeControl('a\u001B[2J\u009Bb\rc\u202Ed\n\te é😀'),
    'a\\u001b[2J\\u009bb\\u000dc\\u202ed\n\te é😀',
  );
});
