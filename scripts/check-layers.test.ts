import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFile } from './check-layers.ts';

function offencesOf(file: string, source: string): readonly string[] {
  return checkFile(file, source).map(({ line, text }) => `${line} ${text.split(' (')[0]}`);
}

test('an import may go down the table of layers and not up', () => {
  assert.deepEqual(offencesOf('agent/run.ts', "import { a } from '../store/store.ts';"), []);
  assert.deepEqual(offencesOf('store/store.ts', "import { a } from '../agent/run.ts';"), [
    '1 store may not import agent',
  ]);
});

test('type imports, re-exports, dynamic and many-line imports count', () => {
  for (const source of [
    "import type { A } from '../gateway/server.ts';",
    "export { a } from '../gateway/server.ts';",
    "const a = await import('../gateway/server.ts');",
    "import {\n  a,\n  b,\n} from '../gateway/server.ts';",
  ]) {
    assert.equal(offencesOf('llm/x.ts', source).length, 1, source);
  }
});

test('the sandbox child imports node: and itself only', () => {
  assert.deepEqual(offencesOf('sandbox/child/entry.ts', "import { a } from './frames.ts';"), []);
  assert.equal(offencesOf('sandbox/child/entry.ts', "import { z } from 'zod';").length, 1);
  assert.equal(offencesOf('sandbox/child/entry.ts', "import { a } from '../pool.ts';").length, 1);
});

test('the environment, processes and the database stay in their folders', () => {
  assert.equal(offencesOf('agent/run.ts', 'const a = process.env.HOME;').length, 1);
  assert.equal(offencesOf('agent/run.ts', "import { spawn } from 'node:child_process';").length, 1);
  assert.equal(offencesOf('meter/a.ts', "import { DatabaseSync } from 'node:sqlite';").length, 1);
  assert.deepEqual(offencesOf('config/env.ts', 'const a = process.env.HOME;'), []);
});
