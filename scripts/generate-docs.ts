/**
 * Writes the reference pages under `docs/reference` from the schemas that the program itself runs
 * by. `--check` writes nothing and fails when a page is not what it would write.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CLOSE, ERRORS, EVENTS, METHODS } from '@exoclaw/protocol';
import * as z from 'zod';
import { configJsonSchema } from '../packages/server/src/config/schema.ts';

const FOLDER = path.join(import.meta.dirname, '../docs/reference');
const NOTICE = '<!-- Made by `npm run docs` from the schemas; edits here are lost. -->\n\n';

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
}

function toType(schema: JsonSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => `"${String(value)}"`).join(', ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return choices.map(toType).join(' or ');
  if (schema.type === 'array') return `list of ${toType(schema.items ?? {})}`;
  if (schema.type === 'object') return 'table';
  return schema.format ?? String(schema.type ?? 'any');
}

function toDefault(schema: JsonSchema): string {
  const value = schema.default;
  if (value === undefined) return '';
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) {
    return Array.isArray(value) ? '`[]`' : '';
  }
  return typeof value === 'object' ? '' : `\`${JSON.stringify(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function toConfigReference(): string {
  const root = configJsonSchema() as JsonSchema;
  const sections: string[] = [
    '# Configuration reference\n\nEvery key of `config.toml`. `exoclaw config check` checks a file, `exoclaw config schema` prints this as JSON Schema for an editor.\n',
  ];
  const visit = (name: string, schema: JsonSchema): void => {
    const rows = Object.entries(schema.properties ?? {});
    const title = name.endsWith('[]') ? `[[${name.slice(0, -2)}]]` : `[${name}]`;
    const lines = [`\n## \`${title}\`\n`, schema.description ?? '', ''];
    lines.push('| key | type | default | what |', '| --- | --- | --- | --- |');
    const nested: [string, JsonSchema][] = [];
    for (const [key, value] of rows) {
      if (value.type === 'object' && value.properties !== undefined) {
        nested.push([`${name.replace('[]', '')}.${key}`, value]);
        continue;
      }
      lines.push(
        `| \`${key}\` | ${cell(toType(value))} | ${cell(toDefault(value))} | ${cell(value.description ?? '')} |`,
      );
    }
    if (lines.length > 5) sections.push(lines.join('\n'));
    for (const [key, value] of nested) visit(key, value);
  };
  for (const [key, value] of Object.entries(root.properties ?? {})) {
    if (value.type === 'array' && value.items?.properties !== undefined) {
      visit(`${key}[]`, { ...value.items, description: value.description ?? '' });
    } else {
      visit(key, value);
    }
  }
  return sections.join('\n');
}

function toFields(schema: z.ZodType): string {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const fields = Object.entries(json.properties ?? {});
  if (fields.length === 0) return '';
  const rows = fields.map(([key, value]) => {
    const mark = json.required?.includes(key) ? 'yes' : '';
    return `| \`${key}\` | ${cell(toType(value))} | ${mark} | ${cell(toDefault(value))} | ${cell(value.description ?? '')} |`;
  });
  return [
    '',
    '| parameter | type | required | default | what |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function toMethodReference(): string {
  const methods = Object.entries(METHODS).map(([name, spec]) => {
    const result = z.toJSONSchema(spec.result, { unrepresentable: 'any' }) as JsonSchema;
    const shape = Object.keys(result.properties ?? {});
    const answer = shape.length > 0 ? shape.map((key) => `\`${key}\``).join(', ') : toType(result);
    return [
      `## \`${name}\`\n`,
      `${spec.summary}. Scope: \`${spec.scope}\`.${spec.streams ? ' Streams events.' : ''}`,
      toFields(spec.params),
      `Result: ${answer}.\n`,
    ].join('\n');
  });
  const events = Object.entries(EVENTS).map(([name, schema]) => {
    const json = z.toJSONSchema(schema, { unrepresentable: 'any' }) as JsonSchema;
    const shape = Object.keys(json.properties ?? {}).map((key) => `\`${key}\``);
    return `| \`${name}\` | ${shape.length > 0 ? shape.join(', ') : toType(json)} | ${cell(schema.description ?? '')} |`;
  });
  return [
    '# Method reference\n\nHow to connect, the two dialects and the life of a stream are told in [the protocol](../protocol.md).\n',
    ...methods,
    '## Stream events\n\n| event | data | what |\n| --- | --- | --- |',
    events.join('\n'),
    '',
  ].join('\n');
}

function toErrorReference(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { rpc, http, retryable }]) =>
      `| \`${code}\` | ${rpc} | ${http} | ${retryable ? 'yes' : 'no'} |`,
  );
  const closes = Object.entries(CLOSE).map(([name, code]) => `| ${code} | ${name} |`);
  return [
    '# Error reference\n',
    'The plain dialect carries the code as a string, JSON-RPC 2.0 as its number with the string in `data.code`, HTTP as a status.\n',
    '| code | JSON-RPC | HTTP | trying again can help |\n| --- | --- | --- | --- |',
    ...rows,
    '\n## WebSocket close codes\n\n| code | why |\n| --- | --- |',
    ...closes,
    '',
  ].join('\n');
}

const PAGES: Readonly<Record<string, () => string>> = {
  'configuration.md': toConfigReference,
  'methods.md': toMethodReference,
  'errors.md': toErrorReference,
};

const isCheck = process.argv.includes('--check');
const stale: string[] = [];
mkdirSync(FOLDER, { recursive: true });
for (const [name, make] of Object.entries(PAGES)) {
  const file = path.join(FOLDER, name);
  const text = NOTICE + make();
  if (!isCheck) writeFileSync(file, text);
  else if (readPage(file) !== text) stale.push(`docs/reference/${name}`);
}
if (stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run "npm run docs" and commit the result`);
  process.exitCode = 1;
}

function readPage(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // A page that does not exist is stale, too.
    return '';
  }
}
