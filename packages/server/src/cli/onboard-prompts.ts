/**
 * The questions of `exoclaw onboard` on a terminal. A key is typed hidden, and no question, answer
 * or error shows any of it.
 */
import { isCancel, password, select, text } from '@clack/prompts';
import { detectProvider, parseKey, readKey } from '../config/credentials.ts';
import type { Env } from '../config/env.ts';
import { PROVIDER_NAMES, PROVIDERS } from '../config/providers.ts';
import { ExoclawError, toMessage } from '../lib/error.ts';
import type { Secret } from '../lib/secret.ts';
import type { ProviderName } from '../llm/provider.ts';
import { type OnboardChoice, readCurrentAgent } from './onboarding.ts';

/** What flags have answered already. */
export type Answered = Partial<OnboardChoice>;

/** @throws {ExoclawError} config_error when the person leaves; nothing is changed then. */
export async function askOnboarding(answered: Answered, env: Env): Promise<OnboardChoice> {
  const current = readCurrentAgent(env);
  const provider = answered.provider ?? (await askProvider(current['provider'], env));
  const isSame = current['provider'] === provider;
  const baseUrl =
    answered.baseUrl ?? (await askBaseUrl(provider, isSame ? current['base_url'] : undefined));
  const key = answered.key ?? (await askKey(provider, env));
  const model = answered.model ?? (await askModel(provider, isSame ? current['model'] : undefined));
  return { provider, baseUrl, key, model };
}

/** @returns undefined when the person does not want to send one now. */
export async function askFirstMessage(): Promise<string | undefined> {
  const message = await text({
    message: 'Say something to your agent? (Enter skips)',
    placeholder: 'Hello, who are you?',
  });
  if (isCancel(message)) return undefined;
  const trimmed = (message ?? '').trim();
  return trimmed === '' ? undefined : trimmed;
}

async function askProvider(current: unknown, env: Env): Promise<ProviderName> {
  const initial = PROVIDER_NAMES.find((name) => name === current);
  const { provider: detected } = detectProvider({ env });
  return answer(
    await select<ProviderName>({
      message: 'Which model provider?',
      options: PROVIDER_NAMES.map((name) => ({ value: name, label: PROVIDERS[name].title })),
      initialValue: initial ?? (detected === 'demo' ? 'anthropic' : detected),
    }),
  );
}

async function askBaseUrl(provider: ProviderName, current: unknown): Promise<string | undefined> {
  if (!PROVIDERS[provider].needsBaseUrl) return undefined;
  return answer(
    await text({
      message: 'URL of its API?',
      placeholder: 'http://localhost:8000/v1',
      initialValue: typeof current === 'string' ? current : '',
      validate: (value) => {
        const isHttp = ['http:', 'https:'].includes(URL.parse(value ?? '')?.protocol ?? '');
        return isHttp ? undefined : 'It starts with http:// or https://';
      },
    }),
  );
}

async function askModel(provider: ProviderName, current: unknown): Promise<string | undefined> {
  if (provider === 'demo') return undefined;
  const initial = typeof current === 'string' ? current : PROVIDERS[provider].defaultModel;
  return answer(
    await text({
      message: 'Which model?',
      initialValue: initial ?? '',
      validate: (value) => ((value ?? '').trim() === '' ? 'Give the name of a model' : undefined),
    }),
  ).trim();
}

async function askKey(provider: ProviderName, env: Env): Promise<Secret | undefined> {
  const { key, title } = PROVIDERS[provider];
  if (key === 'none') return undefined;
  const { source } = readKey(provider, { env });
  if (source !== undefined) {
    const where = source === 'file' ? 'that is stored' : `in ${source}`;
    const keep = answer(
      await select({
        message: `There is a key for ${title} already`,
        options: [
          { value: true, label: `Use the key ${where}` },
          { value: false, label: 'Store another one' },
        ],
      }),
    );
    if (keep) return undefined;
  }
  const isOptional = key === 'optional';
  const typed = answer(
    await password({
      message: `API key for ${title}? ${isOptional ? '(Enter: none)' : '(it is not shown)'}`,
      validate: (value) => {
        if (isOptional && (value ?? '') === '') return undefined;
        try {
          parseKey(value ?? '');
          return undefined;
        } catch (error) {
          return toMessage(error);
        }
      },
    }),
  );
  return isOptional && (typed ?? '') === '' ? undefined : parseKey(typed);
}

function answer<Value>(value: Value): Exclude<Value, symbol> {
  if (typeof value !== 'symbol') return value as Exclude<Value, symbol>;
  throw new ExoclawError('config_error', 'Stopped; nothing was changed');
}
