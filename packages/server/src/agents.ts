/** Makes the configured agents runnable: each with its model behind retries and fallback. */
import type { Agent } from './agent/agent.ts';
import { readKey } from './config/credentials.ts';
import type { Env } from './config/env.ts';
import type { AgentConfig, Config, ModelTarget } from './config/resolve.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import type { BreakerRegistry } from './llm/breaker.ts';
import { createModelClient } from './llm/client.ts';
import type { ProviderConfig } from './llm/target.ts';

export interface AgentDeps {
  readonly env: Env;
  readonly clock: Clock;
  readonly log: Log;
  /** Outlives a reload, so that an outage is not forgotten by an edit. */
  readonly breakers: BreakerRegistry;
}

/** Agents by id. Keys are read now: one that is added later shows at the next reload. */
export function createAgents(config: Config, deps: AgentDeps): ReadonlyMap<string, Agent> {
  return new Map(config.agents.map((agent) => [agent.id, createAgent(agent, deps)]));
}

function createAgent(config: AgentConfig, deps: AgentDeps): Agent {
  const { fallback } = config;
  return {
    id: config.id,
    provider: createModelClient(
      {
        primary: toProviderConfig(config, deps),
        ...(fallback === undefined ? {} : { fallback: toProviderConfig(fallback, deps) }),
      },
      { clock: deps.clock, breakers: deps.breakers },
    ),
    systemPrompt: config.systemPrompt,
    soulPath: config.soulPath,
    plugins: config.tools,
    maxOutputTokens: config.maxTokens,
    contextTokens: config.contextTokens,
  };
}

function toProviderConfig(target: ModelTarget, { env, log }: AgentDeps): ProviderConfig {
  const { provider, model, baseUrl } = target;
  const { secret, warning } = readKey(provider, { env });
  if (warning !== undefined) log.warn(warning);
  return { provider, model, apiKey: secret, ...(baseUrl === undefined ? {} : { baseUrl }) };
}
