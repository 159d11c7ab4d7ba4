import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseDocument } from './document.ts';
import { appendTable, removeTable, removeValue, setValue } from './edit.ts';
import { formatKey, formatValue, type TomlValue } from './toml-value.ts';

const plain = (text: string): unknown => JSON.parse(JSON.stringify(parseDocument(text, 'x').value));
const comments = (text: string): string[] =>
  parseDocument(text, 'x').ast.comments.map(({ value }) => value);

// ---- texts as people write them ---------------------------------------------------------------

interface Written {
  readonly text: string;
  /** Paths of the keys that have a line of their own. */
  readonly keys: readonly (string | number)[][];
  /** Paths of the tables with a header. */
  readonly tables: readonly (string | number)[][];
}

const scalar = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
);
const value: fc.Arbitrary<TomlValue> = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(fc.constantFrom('x', 'y z', 'w'), scalar, { maxKeys: 2, noNullPrototype: true }),
);
const comment = fc.stringMatching(/^# [a-z [\]="']{0,12}$/);
const gap = fc.oneof(
  fc.constant<string[]>([]),
  fc.constant(['']),
  comment.map((line) => [line]),
  comment.map((line) => ['', line]),
);
const pair = fc.record({ value, gap, indent: fc.constantFrom('', '  '), tail: fc.option(comment) });
const body = fc.dictionary(fc.constantFrom('a', 'b', 'c-d', 'e f', 'sub.g'), pair, {
  maxKeys: 4,
  noNullPrototype: true,
});
const section = fc.record({ body, gap, kind: fc.constantFrom('table', 'array', 'nested') });

const document: fc.Arbitrary<Written> = fc
  .record({
    root: body,
    sections: fc.array(section, { maxLength: 4 }),
    end: gap,
    newline: fc.constantFrom('\n', '\r\n'),
    closed: fc.boolean(),
  })
  .map(({ root, sections, end, newline, closed }) => {
    const lines: string[] = [];
    const keys: (string | number)[][] = [];
    const tables: (string | number)[][] = [];
    const add = (path: (string | number)[], pairs: typeof root): void => {
      for (const [name, { value, gap, indent, tail }] of Object.entries(pairs)) {
        const key = name.startsWith('sub.') ? name.split('.') : [name];
        const comment = tail === null ? '' : `  ${tail}`;
        lines.push(...gap, `${indent}${formatKey(key)} = ${formatValue(value)}${comment}`);
        keys.push([...path, ...key]);
      }
    };
    add([], root);
    let elements = 0;
    for (const [index, { body, gap, kind }] of sections.entries()) {
      const path =
        kind === 'table'
          ? [`t${index}`]
          : kind === 'nested'
            ? ['n', `t${index}`]
            : ['list', (elements += 1) - 1];
      const header = kind === 'array' ? '[[list]]' : `[${path.join('.')}]`;
      lines.push(...gap, `${header}${index % 2 === 0 ? '' : ' # section'}`);
      tables.push(path);
      add(path, body);
    }
    lines.push(...end);
    return { text: lines.join(newline) + (closed ? newline : ''), keys, tables };
  });

/** Whether `after` is `before` with one range replaced: the rest is the same, byte for byte. */
function replacedRange(before: string, after: string): { removed: string; added: string } {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < Math.min(before.length, after.length) - start &&
    before.at(-1 - end) === after.at(-1 - end)
  ) {
    end += 1;
  }
  return {
    removed: before.slice(start, before.length - end),
    added: after.slice(start, after.length - end),
  };
}

const pick = <Item>(items: readonly Item[], at: number): Item | undefined =>
  items[at % Math.max(items.length, 1)];

function withValue(text: string, path: readonly (string | number)[], wanted: unknown): unknown {
  const whole = plain(text);
  let table = whole as Record<string | number, unknown>;
  for (const part of path.slice(0, -1)) {
    table = (table[part] ??= {}) as Record<string | number, unknown>;
  }
  table[path.at(-1) ?? ''] = wanted;
  return JSON.parse(JSON.stringify(whole));
}

// ---- properties -------------------------------------------------------------------------------

test('setValue() of a key that is there changes its value and no other byte', () => {
  fc.assert(
    fc.property(document, fc.nat(), value, ({ text, keys }, at, wanted) => {
      const path = pick(keys, at);
      fc.pre(path !== undefined);
      const edited = setValue(text, path, wanted);
      assert.deepEqual(plain(edited), withValue(text, path, wanted));
      assert.deepEqual(comments(edited), comments(text));
      const { removed, added } = replacedRange(text, edited);
      assert.ok(!removed.includes('\n') && !added.includes('\n'));
    }),
    { numRuns: 400 },
  );
});

test('setValue() of a new key only adds lines, in its table', () => {
  fc.assert(
    fc.property(document, fc.nat(), value, ({ text, tables }, at, wanted) => {
      const path = [...(pick([[], ...tables, ['fresh'], ['fresh', 'deep']], at) ?? []), 'new key'];
      const edited = setValue(text, path, wanted);
      assert.deepEqual(plain(edited), withValue(text, path, wanted));
      assert.deepEqual(comments(edited), comments(text));
      assert.ok(edited.endsWith('\n') || !text.endsWith('\n'));
      assert.equal(replacedRange(text, edited).removed, '');
    }),
    { numRuns: 400 },
  );
});

test('removeValue() takes away one line and undoes setValue()', () => {
  fc.assert(
    fc.property(document, fc.nat(), value, ({ text, tables }, at, wanted) => {
      const path = [...(pick([[], ...tables], at) ?? []), 'new key'];
      const edited = setValue(text.endsWith('\n') ? text : `${text}\n`, path, wanted);
      assert.equal(removeValue(edited, path), text.endsWith('\n') ? text : `${text}\n`);
      assert.equal(removeValue(text, path), text);
    }),
    { numRuns: 200 },
  );
});

test('appendTable() adds the last element and changes nothing else', () => {
  const table = fc.dictionary(fc.constantFrom('name', 'path', 'limits'), value, {
    maxKeys: 3,
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(document, table, ({ text }, wanted) => {
      const before = plain(text) as { list?: unknown[] };
      const edited = appendTable(text, 'list', wanted);
      const expected = [...(before.list ?? []), JSON.parse(JSON.stringify(wanted))];
      assert.deepEqual(plain(edited), { ...before, list: expected });
      assert.deepEqual(comments(edited), comments(text));
      assert.equal(replacedRange(text, edited).removed, '');
    }),
    { numRuns: 300 },
  );
});

test('removeTable() takes away one element, wherever it stands, and adds nothing', () => {
  fc.assert(
    fc.property(document, fc.nat(), ({ text }, at) => {
      const { list = [], ...rest } = plain(text) as { list?: unknown[] };
      fc.pre(list.length > 0);
      let seen = -1;
      const edited = removeTable(text, 'list', () => (seen += 1) === at % list.length);
      const left = list.toSpliced(at % list.length, 1);
      assert.deepEqual(plain(edited), left.length > 0 ? { ...rest, list: left } : rest);
      assert.equal(replacedRange(text, edited).added, '');
    }),
    { numRuns: 300 },
  );
});

test('removeTable() undoes appendTable() but for the empty line before it', () => {
  fc.assert(
    fc.property(document, ({ text }) => {
      const added = appendTable(text, 'list', { mark: 'here' });
      const removed = removeTable(added, 'list', (element) => element['mark'] === 'here');
      assert.deepEqual(plain(removed), plain(text));
      assert.deepEqual(comments(removed), comments(text));
      assert.match(replacedRange(text, removed).added, /^\s*$/);
    }),
    { numRuns: 300 },
  );
});

// ---- shapes -----------------------------------------------------------------------------------

const EXAMPLE = `# mine
[agent] # the one
id = "personal"   # who
provider = "demo"

# a tool
[[plugins]]
name = "echo"
path = "echo.wasm"
[plugins.limits]
deadline_ms = 5

# the end
[log]
level = "info"
`;

test('setValue() puts a new key under the last of its table, before what follows', () => {
  assert.equal(
    setValue(EXAMPLE, ['agent', 'model'], 'm'),
    EXAMPLE.replace('provider = "demo"\n', 'provider = "demo"\nmodel = "m"\n'),
  );
});

test('appendTable() goes behind the sub-tables of the last element', () => {
  assert.equal(
    appendTable(EXAMPLE, 'plugins', { name: 'x', capabilities: ['http:a.b'], config: { k: 'v' } }),
    EXAMPLE.replace(
      'deadline_ms = 5\n',
      'deadline_ms = 5\n\n[[plugins]]\nname = "x"\ncapabilities = ["http:a.b"]\nconfig = { k = "v" }\n',
    ),
  );
});

test('removeTable() takes the sub-tables along and leaves the comment above', () => {
  assert.equal(
    removeTable(EXAMPLE, 'plugins', ({ name }) => name === 'echo'),
    EXAMPLE.replace(/\[\[plugins\]\][^#]*/, ''),
  );
});

test('edits work inside inline tables, arrays and dotted keys', () => {
  const text = 'agent.id = "a"\nplugins = [{ name = "x" }] # one\nlog = { level = "info" }\n';
  assert.equal(
    setValue(text, ['plugins', 0, 'path'], '/x'),
    text.replace('"x" }', '"x", path = "/x" }'),
  );
  assert.equal(setValue(text, ['log', 'level'], 'warn'), text.replace('info', 'warn'));
  assert.equal(
    setValue(text, ['agent', 'model'], 'm'),
    text.replace('"a"\n', '"a"\nagent.model = "m"\n'),
  );
  assert.equal(
    appendTable(text, 'plugins', { name: 'y' }),
    text.replace('"x" }]', '"x" }, { name = "y" }]'),
  );
  assert.equal(removeValue(text, ['log', 'level']), text.replace('level = "info"', ''));
});

test('an edit that can not be made by a splice is refused, not guessed', () => {
  const refused = { code: 'config_error', message: /edit it by hand/ };
  assert.throws(() => setValue('[agent]\nid = "a"\n', ['agent'], 'x'), refused);
  assert.throws(() => setValue('agent = 3\n', ['agent', 'id'], 'x'), refused);
  assert.throws(() => setValue('', ['plugins', 4, 'name'], 'x'), refused);
  assert.throws(() => appendTable('[plugins]\n', 'plugins', {}), refused);
  assert.throws(() => removeTable('plugins = [{}]\n', 'plugins', () => true), refused);
  assert.throws(() => setValue('[agent\n', ['agent', 'id'], 'x'), /config\.toml:2:1/);
});

test('a value is written so that it can not end its string or line', () => {
  const nasty = 'a"\n[x]\ny = 1 # \u007F \\ \u0000';
  const edited = setValue('[agent]\n', ['agent', 'system_prompt'], nasty);
  assert.deepEqual(plain(edited), { agent: { system_prompt: nasty } });
  assert.throws(() => setValue('', ['a'], Number.NaN), RangeError);
});
