/**
 * What a plugin says of itself: the output of its `describe` export, read as the words of an
 * untrusted author. Everything is bounded; text that a person or a model will see is stripped of
 * control characters.
 */
import * as z from 'zod';
import type { WebhookVerify } from './plugins.ts';
import { compileToolSchema, type JsonSchema, type SchemaCheck } from './tool-schema.ts';

const MAX_TOOLS = 64;
const MAX_DESCRIPTION = 4096;

export interface ToolManifest {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly check: SchemaCheck;
}

export type Manifest =
  | {
      readonly type: 'tool';
      readonly name: string;
      readonly version: string | undefined;
      readonly description: string;
      readonly tools: readonly ToolManifest[];
      /** The plugin gave a list: a call says which tool it is for. */
      readonly several: boolean;
    }
  | {
      readonly type: 'channel_adapter';
      readonly name: string;
      readonly version: string | undefined;
      readonly description: string;
      readonly channel: string;
      readonly verify: WebhookVerify;
    };

const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/u, 'use 1 to 64 letters, digits, "_" or "-"');
const description = z.string().max(MAX_DESCRIPTION).default('').transform(toPlainText);
const version = z.string().max(64).optional();

const tool = z.object({ name, description, input_schema: z.unknown() });

const toolPlugin = tool.extend({ version, input_schema: z.unknown() });
const multiToolPlugin = z.object({
  name,
  version,
  description,
  tools: z.array(tool).min(1).max(MAX_TOOLS),
});
const channelPlugin = z.object({
  name,
  version,
  description,
  channel: name,
  transport: z.literal('webhook', 'only "webhook" channels can be run yet').default('webhook'),
  verify: z
    .object({ kind: z.literal('none', 'only "none" can be verified yet') })
    .default({ kind: 'none' }),
});

/**
 * Reads a manifest.
 * @throws {SyntaxError} with one sentence that says what is wrong.
 */
export function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError('"describe" did not answer with JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null) {
    throw new SyntaxError('"describe" did not answer with a JSON object');
  }
  const kind = readKind(value);
  if (kind === 'channel_adapter') {
    const parsed = parseWith(channelPlugin, value);
    return { type: 'channel_adapter', ...parsed, version: parsed.version };
  }
  if ('tools' in value) {
    const parsed = parseWith(multiToolPlugin, value);
    return {
      type: 'tool',
      name: parsed.name,
      version: parsed.version,
      description: parsed.description,
      tools: parsed.tools.map(toToolManifest),
      several: true,
    };
  }
  const parsed = parseWith(toolPlugin, value);
  return {
    type: 'tool',
    name: parsed.name,
    version: parsed.version,
    description: parsed.description,
    tools: [toToolManifest(parsed)],
    several: false,
  };
}

function readKind(value: object): unknown {
  if ('type' in value) return value.type;
  return 'plugin_type' in value ? value.plugin_type : 'tool';
}

function toToolManifest(parsed: z.infer<typeof tool>): ToolManifest {
  const { schema, check } = compileToolSchema(parsed.input_schema);
  return { name: parsed.name, description: parsed.description, inputSchema: schema, check };
}

function parseWith<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new SyntaxError(`"describe" is not a valid manifest: ${where}${issue?.message ?? ''}`);
}

/** Line breaks and tabs stay; other control, bidi and invisible tag characters go. */
export function toPlainText(text: string): string {
  return text
    .replace(/[\p{Cc}\u202A-\u202E\u2066-\u2069\u{E0000}-\u{E007F}]/gu, (character) =>
      character === '\n' || character === '\t' ? character : '',
    )
    .trim();
}
