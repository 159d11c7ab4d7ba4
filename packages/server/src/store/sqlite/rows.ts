/**
 * What comes out of the database is checked here, once: schemas of the JSON columns, and helpers
 * that turn rows into records. A row that does not fit is damage, and is reported as such.
 */
import { z } from 'zod';
import { ExoclawError } from '../../lib/error.ts';
import type { Address, InboundMessage, Message, RunStep, TokenUsage } from '../store.ts';

const metadata = z.record(z.string(), z.record(z.string(), z.unknown())).exactOptional();

const text = z.object({ type: z.literal('text'), text: z.string(), metadata });
const thinking = z.object({ type: z.literal('thinking'), text: z.string(), metadata });
const toolCall = z.object({
  type: z.literal('tool-call'),
  id: z.string(),
  name: z.string(),
  input: z.unknown(),
  metadata,
});

const assistantMessage = z.object({
  role: z.literal('assistant'),
  content: z.array(z.discriminatedUnion('type', [text, thinking, toolCall])),
  stopped: z.enum(['aborted', 'error', 'limit']).exactOptional(),
});
const toolResultMessage = z.object({
  role: z.literal('tool-result'),
  toolCallId: z.string(),
  name: z.string(),
  content: z.string(),
  isError: z.boolean(),
});

/**
 * Reads a message. A context is made of a hundred of them at every run, and the check by hand is
 * six times as fast as the one by schema.
 * @throws {ExoclawError} store_error when the text does not hold a message.
 */
export function parseMessage(text: unknown): Message {
  let value: unknown;
  try {
    value = JSON.parse(String(text));
  } catch (error) {
    throw toDamage(error);
  }
  if (isMessage(value)) return value;
  throw toDamage(new TypeError('Not a message'));
}

function isMessage(value: unknown): value is Message {
  if (!isRecord(value)) return false;
  const { role, content } = value;
  if (role === 'assistant') return Array.isArray(content) && content.every(isBlock);
  if (typeof content !== 'string') return false;
  if (role === 'user') return true;
  const { toolCallId, name, isError } = value;
  return (
    role === 'tool-result' &&
    typeof toolCallId === 'string' &&
    typeof name === 'string' &&
    typeof isError === 'boolean'
  );
}

function isBlock(value: unknown): boolean {
  if (!isRecord(value)) return false;
  if (value['type'] !== 'tool-call') return typeof value['text'] === 'string';
  return typeof value['id'] === 'string' && typeof value['name'] === 'string';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export const stepSchema: z.ZodType<RunStep> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('answer'), message: assistantMessage }),
  z.object({ kind: z.literal('intent'), toolCallId: z.string() }),
  z.object({ kind: z.literal('result'), message: toolResultMessage }),
]);

export const addressSchema: z.ZodType<Address> = z.object({
  channel: z.string(),
  account: z.string(),
  peer: z.string(),
  guild: z.string().exactOptional(),
  team: z.string().exactOptional(),
  roles: z.array(z.string()).exactOptional(),
});

export const inboundSchema: z.ZodType<InboundMessage> = z.object({
  id: z.string(),
  sessionKey: z.string(),
  agentId: z.string(),
  address: addressSchema,
  content: z.string(),
  acceptedAtMs: z.number(),
});

export const usageSchema: z.ZodType<TokenUsage> = z.object({
  input: z.int(),
  output: z.int(),
  cacheRead: z.int(),
  cacheWrite: z.int(),
});

/** A column that may be NULL, read as `undefined`. */
export function orUndefined<T>(schema: z.ZodType<T>) {
  return z
    .nullable(schema)
    .transform((value): T | undefined => (value === null ? undefined : value));
}

/** A TEXT column that holds JSON of this shape. */
export function jsonColumn<T>(schema: z.ZodType<T>) {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'Not JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

/** @throws {ExoclawError} store_error when the row does not have the shape that was written. */
export function parseRow<T>(schema: z.ZodType<T>, row: unknown): T {
  const result = schema.safeParse(row);
  if (result.success) return result.data;
  throw toDamage(result.error);
}

function toDamage(cause: unknown): ExoclawError {
  return new ExoclawError(
    'store_error',
    'The store holds a row that cannot be read; stop the gateway and run "exoclaw doctor --fix"',
    { cause },
  );
}

export function parseRows<T>(schema: z.ZodType<T>, rows: readonly unknown[]): readonly T[] {
  return rows.map((row) => parseRow(schema, row));
}
