import { testProvider, type ProviderTraits } from '../../test/provider-conformance.ts';
import { createProvider } from './ai-sdk.ts';

const PROVIDERS = ['anthropic', 'openai', 'google', 'ollama', 'openai-compatible'] as const;

for (const name of PROVIDERS) {
  const make: ProviderTraits['make'] = ({ clock, timeouts = {}, ...config }) =>
    createProvider(
      { ...config, provider: name, model: 'test-model', timeouts },
      clock === undefined ? {} : { clock },
    );
  testProvider({ name, cacheWrite: name === 'anthropic', make });
}
