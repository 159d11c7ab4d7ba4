import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { VERSION } from '../config/version.ts';
import { BIN, createHome, runExoclaw } from './run.fixture.ts';

/** A Node of this machine that is too old to run exoclaw itself. */
function findOldNode(): string | undefined {
  const folders = `${process.env['PATH'] ?? ''}${delimiter}/usr/bin${delimiter}/usr/local/bin`;
  return folders
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .map((folder) => join(folder, 'node'))
    .filter((file) => existsSync(file))
    .find((file) => {
      const version = execFileSync(file, ['--version'], { encoding: 'utf8' });
      return Number.parseInt(version.slice(1), 10) < 26;
    });
}

const old = findOldNode();
const skip = old === undefined ? 'no older Node on this machine' : false;

/** The entry in a package of its own, with a runtime that is this script. */
function createPackage(home: string, runtime: string | undefined): string {
  mkdirSync(join(home, 'bin'));
  writeFileSync(join(home, 'package.json'), '{ "type": "module" }');
  copyFileSync(BIN, join(home, 'bin', 'exoclaw.js'));
  if (runtime !== undefined) {
    const folder = join(home, 'node_modules', 'node', 'bin');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'node'), runtime);
    chmodSync(join(folder, 'node'), 0o755);
  }
  return join(home, 'bin', 'exoclaw.js');
}

test(
  'an older Node runs the command on the packaged runtime, exit code and input included',
  { skip },
  async (t) => {
    const home = createHome(t);
    const node = old ?? '';
    const version = await runExoclaw(home, ['--version'], { node });
    assert.deepEqual([version.code, version.stdout, version.stderr], [0, `${VERSION}\n`, '']);
    assert.equal((await runExoclaw(home, ['nope'], { node })).code, 2);
    const args = ['onboard', '--provider', 'openai', '--key-stdin'];
    assert.equal((await runExoclaw(home, args, { node, input: 'key' })).code, 0);
  },
);

test('an older Node without the runtime says in one line what to do', { skip }, async (t) => {
  const home = createHome(t);
  const node = old ?? '';
  const bin = createPackage(home, undefined);
  const missing = await runExoclaw(home, [], { node, bin });
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^exoclaw needs Node\.js 26 or newer, and this is v\d+.*\n$/);
});

test(
  'a packaged runtime that is the same old Node is not started over and over',
  { skip },
  async (t) => {
    const home = createHome(t);
    const node = old ?? '';
    const bin = createPackage(home, undefined);
    mkdirSync(join(home, 'node_modules', 'node', 'bin'), { recursive: true });
    symlinkSync(node, join(home, 'node_modules', 'node', 'bin', 'node'));
    assert.equal((await runExoclaw(home, [], { node, bin })).code, 1);
  },
);

test(
  'a signal reaches the packaged runtime, and its end is that of the command',
  { skip },
  async (t) => {
    const script = '#!/bin/sh\nsleep 20 &\ntrap "kill $!; exit 7" TERM\necho ready\nwait\n';
    const child = startOld(t, createPackage(createHome(t), script));
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [7, null]);
  },
);

test(
  'a runtime that is killed by a signal ends the command by that signal',
  { skip },
  async (t) => {
    const child = startOld(t, createPackage(createHome(t), '#!/bin/sh\nkill -KILL $$\n'));
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
  },
);

test('compiled code is kept beside the code or in the home, which is not made for it', async (t) => {
  const home = createHome(t);
  const bin = createPackage(home, undefined);
  mkdirSync(join(home, 'src'));
  writeFileSync(join(home, 'src', 'main.ts'), 'console.log("main" as string)');
  const env = { EXOCLAW_HOME: join(home, 'missing') };
  assert.equal((await runExoclaw(home, [], { bin, env })).stdout, 'main\n');
  assert.equal(existsSync(join(home, 'missing')), false);
  await runExoclaw(home, [], { bin });
  assert.ok(existsSync(join(home, 'cache')));
  mkdirSync(join(home, 'node_modules'));
  await runExoclaw(home, [], { bin });
  assert.ok(existsSync(join(home, 'node_modules', '.cache', 'exoclaw')));
});

function startOld(t: TestContext, bin: string) {
  const child = spawn(old ?? '', [bin], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}
