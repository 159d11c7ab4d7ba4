/**
 * The model providers a configuration can name, as a fixed list: a name is never turned into a
 * path, a variable or a header without being found here first. Loads nothing, so that the
 * command line can show it at once.
 */
import type { ProviderName } from '../llm/provider.ts';

export const PROVIDER_NAMES = [
  'anthropic',
  'openai',
  'google',
  'ollama',
  'openai-compatible',
  'demo',
] as const satisfies readonly ProviderName[];

export interface ProviderFacts {
  /** As a person knows it. */
  readonly title: string;
  /** Environment variables that may hold its key; the first one that is set wins. */
  readonly keyVariables: readonly string[];
  /** `none`: takes no key at all; `optional`: works without one. */
  readonly key: 'required' | 'optional' | 'none';
  /** What an agent uses that names the provider only; undefined: it must name a model. */
  readonly defaultModel: string | undefined;
  readonly needsBaseUrl: boolean;
}

export const PROVIDERS: Readonly<Record<ProviderName, ProviderFacts>> = {
  anthropic: {
    title: 'Anthropic',
    keyVariables: ['ANTHROPIC_API_KEY'],
    key: 'required',
    defaultModel: 'claude-sonnet-5-5',
    needsBaseUrl: false,
  },
  openai: {
    title: 'OpenAI',
    keyVariables: ['OPENAI_API_KEY'],
    key: 'required',
    defaultModel: 'gpt-5.6-terra',
    needsBaseUrl: false,
  },
  google: {
    title: 'Google Gemini',
    keyVariables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY'],
    key: 'required',
    defaultModel: 'gemini-3.8-flash',
    needsBaseUrl: false,
  },
  ollama: {
    title: 'Ollama (on this machine)',
    keyVariables: ['OLLAMA_API_KEY'],
    key: 'optional',
    defaultModel: 'llama3.2',
    needsBaseUrl: false,
  },
  'openai-compatible': {
    title: 'Any OpenAI-compatible endpoint',
    keyVariables: ['OPENAI_COMPATIBLE_API_KEY'],
    key: 'optional',
    defaultModel: undefined,
    needsBaseUrl: true,
  },
  demo: {
    title: 'Demo (offline, scripted, no key)',
    keyVariables: [],
    key: 'none',
    defaultModel: 'demo',
    needsBaseUrl: false,
  },
};

export function isProviderName(name: string): name is ProviderName {
  return Object.hasOwn(PROVIDERS, name);
}
