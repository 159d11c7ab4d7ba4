/**
 * JSON Schemas written by plugin authors, turned into checks of a model's arguments. The author is
 * untrusted: the schema is bounded in size and depth, a remote reference is refused, and `pattern`
 * and its kin are not evaluated here, because a regular expression can be made to never return
 * (ReDoS); the guest sees the value and can check that itself.
 */
import * as z from 'zod';

const MAX_BYTES = 64 * 1024;
const MAX_DEPTH = 32;
const SKIPPED = new Set(['pattern', 'patternProperties', 'format', 'contentEncoding', '$schema']);

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What is wrong with a value, in words for a model; undefined when nothing is. */
export type SchemaCheck = (value: unknown) => string | undefined;

/**
 * Compiles a schema of tool arguments.
 * @throws {SyntaxError} when it is too large, too deep, not of type `object`, or uses a keyword
 * that can't be checked.
 */
export function compileToolSchema(schema: unknown): { schema: JsonSchema; check: SchemaCheck } {
  if (!isRecord(schema) || schema['type'] !== 'object') {
    throw new SyntaxError('an input schema must be a JSON Schema of type "object"');
  }
  if (JSON.stringify(schema).length > MAX_BYTES) {
    throw new SyntaxError(`an input schema may take at most ${MAX_BYTES} bytes`);
  }
  const checked = withoutUnsafeKeywords(schema, 0);
  let parser: z.ZodType;
  try {
    parser = z.fromJSONSchema(checked as Parameters<typeof z.fromJSONSchema>[0]);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown keyword';
    throw new SyntaxError(`the input schema can't be checked: ${reason}`, { cause: error });
  }
  return {
    schema,
    check: (value) => {
      const parsed = parser.safeParse(value);
      return parsed.success ? undefined : toProblem(parsed.error);
    },
  };
}

function toProblem(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ')
    .slice(0, 1000);
}

function withoutUnsafeKeywords(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new SyntaxError(`an input schema may be ${MAX_DEPTH} levels deep`);
  if (Array.isArray(value)) return value.map((item) => withoutUnsafeKeywords(item, depth + 1));
  if (!isRecord(value)) return value;
  const reference = value['$ref'];
  if (typeof reference === 'string' && !reference.startsWith('#')) {
    throw new SyntaxError('an input schema may only refer to itself ("$ref": "#/…")');
  }
  // Under `properties` the keys are the author's names, not keywords.
  const kept = Object.entries(value).filter(([key]) => !SKIPPED.has(key));
  return Object.fromEntries(
    kept.map(([key, inner]) => [
      key,
      key === 'properties' && isRecord(inner)
        ? Object.fromEntries(
            Object.entries(inner).map(([name, property]) => [
              name,
              withoutUnsafeKeywords(property, depth + 2),
            ]),
          )
        : withoutUnsafeKeywords(inner, depth + 1),
    ]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
