/**
 * What the schema can't see: names that must be unique, names that must exist elsewhere in the
 * file, and keys that need each other. Reads the values as they stand, whether or not the schema
 * is content with them, so that all problems are found at once; what has the wrong type is left to
 * the schema.
 */
import * as z from 'zod';
import type { TomlPath } from './document.ts';
import { isProviderName, PROVIDERS } from './providers.ts';
import { didYouMean } from './suggest.ts';

export interface ReferenceProblem {
  readonly path: TomlPath;
  readonly message: string;
}

const word = z.string().optional().catch(undefined);
const target = z.object({ provider: z.unknown(), model: z.unknown(), base_url: z.unknown() });
const agent = target
  .extend({
    id: word,
    tools: z.array(word).catch([]),
    fallback: target.optional().catch(undefined),
  })
  .partial();
const named = z.object({ name: word }).catch({});
const binding = z.looseObject({ agent_id: word }).catch({});

const rough = z.object({
  agent: agent.optional().catch(undefined),
  agents: z.array(agent.catch({})).catch([]),
  plugins: z.array(named).catch([]),
  bindings: z.array(binding).catch([]),
});

type Rough = z.output<typeof rough>;
type RoughAgent = z.output<typeof agent>;

const ADDRESS_KEYS = ['channel', 'account_id', 'peer_id', 'guild_id', 'team_id', 'roles'];
const DEFAULT_ID = 'default';
const MOST_LISTED = 10;

/** @param value The parsed file, unchecked. */
export function checkReferences(value: unknown): ReferenceProblem[] {
  const { agent, agents = [], plugins = [], bindings = [] } = rough.partial().parse(value);
  const all = [
    ...(agent === undefined ? [] : [{ path: ['agent'], agent: { id: DEFAULT_ID, ...agent } }]),
    ...agents.map((agent, index) => ({ path: ['agents', index], agent })),
  ];
  const ids = all.map(({ agent, path }) => ({ name: agent.id, path: [...path, 'id'] }));
  const names = plugins.map(({ name }, index) => ({ name, path: ['plugins', index, 'name'] }));
  const pluginNames = new Set(names.map(({ name }) => name));
  // With no agent in the file there is the one that is found by itself.
  const agentIds = new Set(all.length === 0 ? [DEFAULT_ID] : ids.map(({ name }) => name));
  return [
    ...checkUnique(ids, 'agent'),
    ...checkUnique(names, 'plugin'),
    ...all.flatMap(({ agent, path }) => checkAgent(agent, path, pluginNames)),
    ...checkBindings(bindings, agentIds),
  ];
}

type Names = ReadonlySet<string | undefined>;

function checkAgent(agent: RoughAgent, path: TomlPath, plugins: Names): ReferenceProblem[] {
  const problems = checkTarget(agent, path);
  for (const [index, tool] of (agent.tools ?? []).entries()) {
    if (tool === undefined || plugins.has(tool)) continue;
    const message = `no [[plugins]] has the name "${tool}"${hint(tool, plugins)}`;
    problems.push({ path: [...path, 'tools', index], message });
  }
  if (agent.fallback !== undefined) {
    problems.push(...checkTarget(agent.fallback, [...path, 'fallback']));
  }
  return problems;
}

function checkTarget(
  { provider, model, base_url }: Pick<RoughAgent, 'provider' | 'model' | 'base_url'>,
  path: TomlPath,
): ReferenceProblem[] {
  if (provider === undefined) {
    return Object.entries({ model, base_url })
      .filter(([, value]) => value !== undefined)
      .map(([key]) => ({ path: [...path, key], message: 'needs "provider" beside it' }));
  }
  if (typeof provider !== 'string' || !isProviderName(provider)) return [];
  const problems: ReferenceProblem[] = [];
  const need = (key: string, what: string): void => {
    const message = `is missing (provider "${provider}" needs ${what})`;
    problems.push({ path: [...path, key], message });
  };
  if (model === undefined && PROVIDERS[provider].defaultModel === undefined) {
    need('model', 'the name of a model');
  }
  if (base_url === undefined && PROVIDERS[provider].needsBaseUrl) {
    need('base_url', 'the URL of its API, such as "http://localhost:8000/v1"');
  }
  return problems;
}

function checkBindings(bindings: Rough['bindings'], agentIds: Names): ReferenceProblem[] {
  const problems: ReferenceProblem[] = [];
  for (const [index, binding] of bindings.entries()) {
    const path = ['bindings', index];
    const id = binding.agent_id;
    if (id !== undefined && !agentIds.has(id)) {
      const message = `no agent has the id "${id}"${hint(id, agentIds)}`;
      problems.push({ path: [...path, 'agent_id'], message });
    }
    if (id !== undefined && !ADDRESS_KEYS.some((key) => Object.hasOwn(binding, key))) {
      const message = `matches everything, which is what [agent] is for (give at least one of ${ADDRESS_KEYS.join(', ')})`;
      problems.push({ path, message });
    }
  }
  return problems;
}

function checkUnique(
  items: readonly { readonly name: string | undefined; readonly path: TomlPath }[],
  what: string,
): ReferenceProblem[] {
  const seen = new Set<string>();
  const problems: ReferenceProblem[] = [];
  for (const { name, path } of items) {
    if (name === undefined) continue;
    if (seen.has(name)) problems.push({ path, message: `another ${what} is called "${name}" too` });
    seen.add(name);
  }
  return problems;
}

/** What was meant, or else what there is. */
function hint(word: string, names: Names): string {
  const known = [...names].filter((name) => name !== undefined);
  const meant = didYouMean(word, known);
  if (meant !== '') return meant;
  if (known.length === 0) return ' (there is none yet)';
  const list = known.slice(0, MOST_LISTED).map((name) => `"${name}"`);
  return ` (there is ${list.join(', ')}${known.length > MOST_LISTED ? ', …' : ''})`;
}
