/**
 * Checks that imports only go down the table of layers, and that what touches the machine
 * (processes, the database, the environment, the network) is touched in its one place. Prints each
 * offence as `file:line`, and exits with 1 when there is one.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

const SOURCE = 'packages/server/src';

const BELOW_CLI = [
  'gateway',
  'router',
  'agent',
  'plugins',
  'sandbox',
  'memory',
  'meter',
  'store',
  'bus',
  'llm',
  'config',
];

/** Folder → folders it may import, besides itself, `lib` and `@exoclaw/protocol`. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  '.': ['cli', ...BELOW_CLI],
  cli: ['.', ...BELOW_CLI],
  gateway: ['router', 'agent', 'plugins', 'sandbox', 'memory', 'meter', 'store'],
  router: ['agent', 'store', 'bus'],
  agent: ['plugins', 'llm', 'memory', 'meter', 'store'],
  plugins: ['sandbox', 'llm'],
  sandbox: [],
  memory: ['store', 'llm'],
  meter: ['store', 'llm'],
  store: [],
  bus: ['store'],
  llm: ['store'],
  config: ['llm'],
  lib: [],
};

/** What may be used only under these paths. */
const CONFINED: readonly (readonly [what: RegExp, allowed: readonly string[], name: string])[] = [
  [/from 'node:child_process'/u, ['sandbox/', 'cli/'], 'node:child_process'],
  [/from 'node:sqlite'/u, ['store/sqlite/'], 'node:sqlite'],
  [/\bprocess\.env\b/u, ['config/'], 'process.env'],
  [/(?<![.\w])fetch\(/u, ['llm/'], 'fetch'],
  [/from 'node:(?:https?|net|tls)'/u, ['llm/', 'gateway/', 'cli/doctor.ts'], 'network modules'],
];

/** Tests and what only they use. */
const NO_SOURCE = /\.(?:test|fixture)\.ts$|\/(?:fixtures|test)\//u;
const IMPORT =
  /(?:^|\n)\s*(?:import|export)[^'"\n;]*?(?:\n[^'";]*?)*?from\s+'([^']+)'|import\('([^']+)'\)/gu;

export interface Offence {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** Offences of one file; `file` is relative to the server's source folder. */
export function checkFile(file: string, source: string): readonly Offence[] {
  const offences: Offence[] = [];
  const folder = file.includes('/') ? (file.split('/')[0] ?? '.') : '.';
  const inChild = file.startsWith('sandbox/child/');
  for (const match of source.matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? '';
    const line =
      source.slice(0, match.index).split('\n').length + (match[0].startsWith('\n') ? 1 : 0);
    const target = specifier.startsWith('.')
      ? path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier))
      : undefined;
    if (inChild && !specifier.startsWith('node:') && !target?.startsWith('sandbox/child/')) {
      offences.push({
        file,
        line,
        text: `sandbox/child imports "${specifier}"; node: and itself only`,
      });
    }
    // The version stands in the package's manifest.
    if (target === undefined || target.endsWith('package.json')) continue;
    const to = target.includes('/') ? (target.split('/')[0] ?? '.') : '.';
    if (to !== folder && to !== 'lib' && !LAYERS[folder]?.includes(to)) {
      offences.push({ file, line, text: `${folder} may not import ${to} ("${specifier}")` });
    }
  }
  for (const [what, allowed, name] of CONFINED) {
    if (allowed.some((prefix) => file.startsWith(prefix))) continue;
    for (const [index, text] of source.split('\n').entries()) {
      if (what.test(text)) {
        offences.push({ file, line: index + 1, text: `${name} belongs to ${allowed.join(', ')}` });
      }
    }
  }
  return offences;
}

if (import.meta.main) {
  const files = globSync('**/*.ts', { cwd: SOURCE }).filter((file) => !NO_SOURCE.test(file));
  if (files.length === 0)
    throw new Error(`No sources under ${SOURCE}; run this in the root folder`);
  const offences = files.flatMap((file) =>
    checkFile(file, readFileSync(path.join(SOURCE, file), 'utf8')),
  );
  for (const { file, line, text } of offences) console.error(`${SOURCE}/${file}:${line}: ${text}`);
  console.log(`${files.length} files, ${offences.length} offences`);
  process.exitCode = offences.length === 0 ? 0 : 1;
}
