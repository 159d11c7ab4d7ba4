/**
 * Keys the schema does not know. A mistyped key is a warning, so that an older exoclaw can run with
 * a newer file; a key that looks like a secret is an error, because the file is no place for one.
 */
import type { Diagnostic } from './diagnostic.ts';
import { isProviderName, PROVIDERS } from './providers.ts';
import { configJsonSchema, configSchema } from './schema.ts';
import type { Source } from './source.ts';
import { closest } from './suggest.ts';

const SECRET_KEY = /(^|[_-])(api[_-]?key|key|token|secret|password)$/i;

/** Takes the unknown keys out of the source's value and reports each. */
export function checkUnknownKeys(source: Source): {
  readonly errors: readonly Diagnostic[];
  readonly warnings: Diagnostic[];
} {
  const errors: Diagnostic[] = [];
  const warnings: Diagnostic[] = [];
  const issues = configSchema.safeParse(source.value).error?.issues ?? [];
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    const table = source.read(issue.path) as Record<string, unknown>;
    const known = knownKeys(issue.path);
    for (const key of issue.keys) {
      const path = [...issue.path, key];
      const secrets = findSecrets(path, table);
      delete table[key];
      if (secrets.length > 0) {
        for (const { path, parent } of secrets) {
          errors.push(source.diagnose(path, refuse(path, parent), 'key'));
        }
        continue;
      }
      const found = closest(key, known);
      const hint =
        found === undefined ? `allowed: ${known.join(', ')}` : `did you mean "${found}"?`;
      warnings.push(source.diagnose(path, `is not known and has no effect (${hint})`, 'key'));
    }
  }
  return { errors, warnings };
}

type Table = Readonly<Record<string, unknown>>;

/** Texts under a name of a secret, at a path or anywhere below it. */
function findSecrets(
  path: readonly PropertyKey[],
  parent: Table,
): { readonly path: readonly PropertyKey[]; readonly parent: Table }[] {
  const key = String(path.at(-1));
  const value = parent[key];
  if (typeof value === 'string') return SECRET_KEY.test(key) ? [{ path, parent }] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((inner) => {
    const part = Array.isArray(value) ? Number(inner) : inner;
    return findSecrets([...path, part], value as Table);
  });
}

function refuse(path: readonly PropertyKey[], parent: Table): string {
  const never = 'is refused: secrets never live in this file';
  if (path[0] === 'gateway') return `${never} (set EXOCLAW_TOKEN in the environment instead)`;
  // `[agent] provider = "x"` beside it, or `[providers.x]` around it.
  const provider = [parent['provider'], path.at(-2)].find(
    (name) => typeof name === 'string' && isProviderName(name),
  );
  if (provider === undefined) {
    return `${never} (remove it, and store a provider's key with "exoclaw onboard")`;
  }
  const [variable] = PROVIDERS[provider].keyVariables;
  const orSet = variable === undefined ? '' : `, or set ${variable}`;
  return `${never} (remove it and run "exoclaw onboard --provider ${provider}"${orSet})`;
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
}

/** Keys a table may have. Walks the JSON Schema, which has no wrappers for defaults. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: JsonSchema | undefined = configJsonSchema();
  for (const part of path) {
    schema = typeof part === 'number' ? schema?.items : schema?.properties?.[String(part)];
  }
  return Object.keys(schema?.properties ?? {});
}
