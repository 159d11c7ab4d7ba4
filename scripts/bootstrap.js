/**
 * Makes `npm start` and `npm test` work on a fresh clone: installs the packages when they are
 * missing or out of date, builds the WASM that is built, and for the tests also installs the
 * Debian packages they drive. Plain JavaScript: it runs under whatever old Node the machine has.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const runtime = path.join(root, 'node_modules', 'node', 'bin', 'node');
const stampFile = path.join(root, 'node_modules', '.exoclaw-install');
const goal = process.argv[2] ?? 'start';

/** Command → Debian package that brings it; only the tests need them. */
const TEST_COMMANDS = new Map([['tmux', 'tmux']]);

installPackages();
if (goal === 'test') installDebianPackages();
buildWasm();

function installPackages() {
  const stamp = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
  const installed = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
  if (installed === stamp && existsSync(runtime)) return;
  say('installing packages (about half a minute, once)');
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  run(...(npm === undefined ? ['npm', args] : [process.execPath, [npm, ...args]]));
  if (!existsSync(runtime)) {
    // npm can be told not to run install scripts; this one puts the runtime in place.
    run(process.execPath, ['installArchSpecificPackage.js'], path.join(root, 'node_modules/node'));
  }
  writeFileSync(stampFile, stamp);
}

function installDebianPackages() {
  const missing = [...TEST_COMMANDS].filter(([command]) => !isInstalled(command));
  if (missing.length === 0) return;
  const names = missing.map(([, debianPackage]) => debianPackage);
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) {
    fail(
      `the tests need ${names.join(', ')}; install with: sudo apt-get install ${names.join(' ')}`,
    );
  }
  say(`installing Debian packages: ${names.join(', ')}`);
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names]);
}

function buildWasm() {
  run(runtime, [path.join(root, 'scripts', 'build-wasm.ts')]);
}

function isInstalled(command) {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .some((folder) => existsSync(path.join(folder, command)));
}

function run(command, args, cwd = root) {
  const result = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.status === 0) return;
  const reason = result.error === undefined ? `exit code ${result.status}` : result.error.message;
  fail(`"${[command, ...args].join(' ')}" failed: ${reason}`);
}

function say(text) {
  process.stderr.write(`exoclaw: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
