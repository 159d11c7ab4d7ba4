/**
 * Puts an agent's model together from its configuration: each provider behind its breaker and its
 * retries, and the second one behind the first.
 */
import type { Clock } from '../lib/clock.ts';
import { createProvider } from './ai-sdk.ts';
import { BreakerRegistry, withBreaker } from './breaker.ts';
import { createDemoProvider } from './demo.ts';
import { withFallback } from './fallback.ts';
import type { Provider } from './provider.ts';
import { withRetry } from './retry.ts';
import { resolveBaseUrl, type ProviderConfig } from './target.ts';

export interface ModelConfig {
  readonly primary: ProviderConfig;
  /** Answers when the primary fails before its first token. */
  readonly fallback?: ProviderConfig;
}

export interface ModelClientDeps {
  readonly clock: Clock;
  /** In place of our own HTTP client. */
  readonly fetch?: typeof fetch;
  /** Share one between the agents of a gateway, so that they learn of an outage together. */
  readonly breakers?: BreakerRegistry;
}

/**
 * A provider that retries, breaks its circuit and falls back.
 * @throws {ExoclawError} config_error when a base URL cannot be used.
 */
export function createModelClient(config: ModelConfig, deps: ModelClientDeps): Provider {
  const breakers = deps.breakers ?? new BreakerRegistry({ clock: deps.clock });
  const open = (target: ProviderConfig): Provider => openTarget(target, deps, breakers);
  const primary = open(config.primary);
  return config.fallback === undefined ? primary : withFallback(primary, open(config.fallback));
}

function openTarget(
  config: ProviderConfig,
  deps: ModelClientDeps,
  breakers: BreakerRegistry,
): Provider {
  const { provider } = config;
  const { clock } = deps;
  if (provider === 'demo') return createDemoProvider({ model: config.model, clock });
  const breaker = breakers.get(`${provider} ${resolveBaseUrl(provider, config.baseUrl)}`);
  return withRetry(withBreaker(createProvider({ ...config, provider }, deps), breaker), { clock });
}
