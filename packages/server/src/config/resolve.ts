/**
 * From the checked file to the `Config` the runtime works with: camelCase names, absolute paths,
 * every agent with a provider and a model, frozen. Parts are handed their own section.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Secret } from '../lib/secret.ts';
import { type Env, type Layout, resolvePath } from './env.ts';
import type { ProviderName } from '../llm/provider.ts';
import { PROVIDERS } from './providers.ts';
import type { ConfigFile } from './schema.ts';

type CamelName<Name> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelName<Tail>>}`
  : Name;

/** The same value with camelCase keys, read-only. A table with free keys stays as it is. */
type Camel<Value> = Value extends readonly (infer Item)[]
  ? readonly Camel<Item>[]
  : Value extends object
    ? string extends keyof Value
      ? Readonly<Value>
      : { readonly [Key in keyof Value as CamelName<Key>]: Camel<Value[Key]> }
    : Value;

type Sections = Camel<ConfigFile>;

export interface ModelTarget {
  readonly provider: ProviderName;
  readonly model: string;
  readonly baseUrl: string | undefined;
}

export interface AgentConfig extends ModelTarget {
  readonly id: string;
  /** Who chose the provider: the file, the key that was found, or nobody. */
  readonly source: 'file' | 'detected' | 'demo';
  readonly maxTokens: number;
  readonly contextTokens: number;
  readonly systemPrompt: string;
  /** Absolute; the file may be missing. */
  readonly soulPath: string | undefined;
  /** Names of plugins. */
  readonly tools: readonly string[];
  readonly fallback: ModelTarget | undefined;
  readonly budgets: Sections['budgets'];
}

export interface GatewayConfig extends Readonly<Sections['gateway']> {
  readonly token: Secret | undefined;
}

export interface StoreConfig extends Readonly<Omit<Sections['store'], 'path'>> {
  /** Absolute. */
  readonly path: string;
}

/** `path` is absolute, `digest` lowercase hex. */
export type PluginConfig = Sections['plugins'][number];
export type BindingConfig = Sections['bindings'][number];

export interface Config extends Omit<
  Sections,
  'agent' | 'agents' | 'gateway' | 'store' | 'plugins'
> {
  /** Absolute folder of everything exoclaw keeps. */
  readonly home: string;
  readonly gateway: GatewayConfig;
  readonly store: StoreConfig;
  /** The default agent first, where there is one; ids are unique. */
  readonly agents: readonly AgentConfig[];
  /** Undefined when the file has `[[agents]]` but no `[agent]`. */
  readonly defaultAgentId: string | undefined;
  readonly plugins: readonly PluginConfig[];
}

export interface ResolveInput {
  readonly file: ConfigFile;
  /** Path of the file: relative paths in it start from its folder. */
  readonly path: string;
  readonly env: Env;
  readonly layout: Layout;
  readonly token: Secret | undefined;
  /** Every agent answers with the offline demo model. */
  readonly demo: boolean;
  /** Called at most once, and only when an agent names no provider. */
  readonly detect: () => ProviderName;
}

export function resolveConfig(input: ResolveInput): Config {
  const { file, layout, env } = input;
  const folder = dirname(input.path);
  const { agent: _agent, agents: _agents, gateway, store, plugins, ...rest } = toCamel(file);
  const agents = resolveAgents(input, folder);
  return freeze({
    ...rest,
    home: layout.home,
    gateway: { ...gateway, token: input.token },
    store: {
      ...store,
      path: store.path === undefined ? layout.store : resolvePath(store.path, folder, env),
    },
    agents,
    defaultAgentId: file.agent === undefined && file.agents.length > 0 ? undefined : agents[0]?.id,
    plugins: plugins.map((plugin) => ({
      ...plugin,
      path: resolvePath(plugin.path, folder, env),
      ...(plugin.digest === undefined ? {} : { digest: plugin.digest.replace('sha256:', '') }),
    })),
  });
}

function resolveAgents(input: ResolveInput, folder: string): AgentConfig[] {
  const { file, env, layout, demo } = input;
  let detected: ProviderName | undefined;
  const all = [...(file.agent === undefined ? [] : [file.agent]), ...file.agents];
  return all.map((agent) => {
    const isDefault = agent === file.agent;
    const written = demo ? 'demo' : agent.provider;
    const provider = written ?? (detected ??= input.detect());
    const fileSoul = isDefault && existsSync(layout.soul) ? layout.soul : undefined;
    return {
      id: agent.id,
      ...resolveTarget({ ...(demo ? {} : agent), provider }),
      source: sourceOf(demo ? undefined : agent.provider, provider),
      maxTokens: agent.max_tokens,
      contextTokens: agent.context_tokens ?? file.memory.context_tokens,
      systemPrompt: agent.system_prompt,
      soulPath:
        agent.soul_path === undefined ? fileSoul : resolvePath(agent.soul_path, folder, env),
      tools: agent.tools,
      fallback: agent.fallback === undefined || demo ? undefined : resolveTarget(agent.fallback),
      budgets: toCamel(agent.budgets),
    };
  });
}

function sourceOf(
  written: ProviderName | undefined,
  provider: ProviderName,
): AgentConfig['source'] {
  if (written !== undefined) return 'file';
  return provider === 'demo' ? 'demo' : 'detected';
}

function resolveTarget(target: {
  readonly provider: ProviderName;
  readonly model?: string;
  readonly base_url?: string;
}): ModelTarget {
  const { provider, base_url: baseUrl } = target;
  // `checkReferences` has made sure that a provider without a default model is given one.
  const model = target.model ?? PROVIDERS[provider].defaultModel ?? '';
  return { provider, model, baseUrl };
}

/** Tables whose keys are a person's own words. */
const FREE_TABLES = new Set(['config']);

function toCamel<Value>(value: Value): Camel<Value>;
function toCamel(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => toCamel(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replaceAll(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
      FREE_TABLES.has(key) ? item : toCamel(item),
    ]),
  );
}

function freeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) freeze(item);
  return Object.freeze(value);
}
