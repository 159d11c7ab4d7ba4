/**
 * Opens the AI SDK's model for a provider. The packages are imported when the first answer is
 * asked for, so that starting the gateway does not pay for them. Address and key are always given:
 * the SDK would otherwise look for them in the environment on its own.
 */
import type { LanguageModelV4 } from '@ai-sdk/provider';
import type { HttpProviderName } from './target.ts';

export interface SdkModelOptions {
  readonly provider: HttpProviderName;
  readonly model: string;
  readonly baseUrl: string;
  /** Empty for a server that asks for none. */
  readonly apiKey: string;
  readonly fetch: typeof fetch;
}

export async function openSdkModel(options: SdkModelOptions): Promise<LanguageModelV4> {
  const { provider, model, baseUrl: baseURL, apiKey, fetch } = options;
  switch (provider) {
    case 'anthropic': {
      const { createAnthropic } = await import('@ai-sdk/anthropic');
      return createAnthropic({ baseURL, apiKey, fetch })(model);
    }
    case 'openai': {
      // Chat completions and not the Responses API: it is what proxies and local servers speak,
      // it keeps no copy of the conversation at the provider, and it needs no state beside the
      // messages we hold.
      const { createOpenAI } = await import('@ai-sdk/openai');
      return createOpenAI({ baseURL, apiKey, fetch }).chat(model);
    }
    case 'google': {
      const { createGoogle } = await import('@ai-sdk/google');
      return createGoogle({ baseURL, apiKey, fetch })(model);
    }
    case 'ollama':
    case 'openai-compatible': {
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
      const settings = { name: 'compatible', baseURL, fetch, includeUsage: true };
      return createOpenAICompatible(apiKey === '' ? settings : { ...settings, apiKey })(model);
    }
    default:
      return provider satisfies never;
  }
}
