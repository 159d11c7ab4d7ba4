/**
 * The one gate: format, lint with types, types, layers, unused code, stale docs, then the tests.
 * Every check runs even when an earlier one failed; the test runner's summary comes last.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.dirname(import.meta.dirname);
const bin = path.join(root, 'node_modules', '.bin');
const node = process.execPath;

const CHECKS: readonly (readonly [name: string, command: string, args: readonly string[]])[] = [
  ['format', path.join(bin, 'oxfmt'), ['--check']],
  ['lint', path.join(bin, 'oxlint'), ['--type-aware', '--deny-warnings', '--quiet']],
  ['types', path.join(bin, 'tsc'), ['--noEmit']],
  ['layers', node, ['scripts/check-layers.ts']],
  ['unused', path.join(bin, 'knip'), []],
  ['docs', node, ['scripts/generate-docs.ts', '--check']],
];

const TESTS = [
  '--test',
  '--test-concurrency=2',
  '--test-timeout=120000',
  'packages/**/*.test.ts',
  'scripts/**/*.test.ts',
  'test/**/*.test.ts',
];

const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}` };
const failed: string[] = [];
for (const [name, command, args] of CHECKS) {
  const startedAtMs = performance.now();
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env });
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (status !== 0) failed.push(name);
}
if (failed.length > 0) console.log(`failed before the tests: ${failed.join(', ')}`);

const tests = spawnSync(node, TESTS, { cwd: root, stdio: 'inherit', env });
process.exitCode = failed.length === 0 && tests.status === 0 ? 0 : 1;
