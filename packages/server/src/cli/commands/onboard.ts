/**
 * `exoclaw onboard`: from nothing to an agent that answers. Asks on a terminal; with `--yes`, or
 * without a terminal, everything comes from flags and the environment.
 */
import { defineCommand } from 'citty';
import { detectProvider, parseKey } from '../../config/credentials.ts';
import { type Env, processEnv } from '../../config/env.ts';
import { isProviderName, PROVIDER_NAMES, PROVIDERS } from '../../config/providers.ts';
import { didYouMean } from '../../config/suggest.ts';
import { ExoclawError } from '../../lib/error.ts';
import type { Secret } from '../../lib/secret.ts';
import type { ProviderName } from '../../llm/provider.ts';
import { runCli } from '../cli.ts';
import { formatPairs } from '../format.ts';
import { applyOnboarding, type OnboardChoice, type OnboardResult } from '../onboarding.ts';
import { EXIT, output, UsageError, warn } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

const MAX_STDIN_BYTES = 64 * 1024;

export default defineCommand({
  meta: { description: 'Choose a model provider and store its key' },
  args: {
    ...COMMON_ARGS,
    provider: { type: 'string', description: PROVIDER_NAMES.join(', ') },
    model: { type: 'string', description: 'Default: a good one of the provider' },
    'base-url': { type: 'string', description: 'URL of the API, where it is not the usual one' },
    'key-stdin': { type: 'boolean', description: 'Read the key from standard input' },
    'api-key-env': { type: 'string', description: 'Name of a variable to take the key from' },
    yes: { type: 'boolean', alias: 'y', description: 'Ask nothing' },
  },
  run: async ({ args }) => {
    const env = processEnv();
    const asks =
      !args.yes && !args.json && !args['key-stdin'] && process.stdin.isTTY && process.stdout.isTTY;
    const answered = {
      ...(args.provider === undefined ? {} : { provider: parseProvider(args.provider) }),
      model: args.model,
      baseUrl: args['base-url'],
      key: await readGivenKey(args['key-stdin'] === true, args['api-key-env'], env),
    };
    const prompts = asks ? await import('../onboard-prompts.ts') : undefined;
    const choice: OnboardChoice =
      prompts === undefined
        ? { ...answered, provider: answered.provider ?? detect(env) }
        : await prompts.askOnboarding(answered, env);
    const result = applyOnboarding(choice, env);
    output(args.json, result, () => describe(result));
    if (!args.json) for (const warning of result.warnings) warn(warning);
    const message = await prompts?.askFirstMessage();
    return message === undefined ? EXIT.ok : await runCli(['chat', '--', message]);
  },
});

function parseProvider(name: string): ProviderName {
  if (isProviderName(name)) return name;
  const hint = didYouMean(name, PROVIDER_NAMES);
  throw new UsageError(`--provider is one of ${PROVIDER_NAMES.join(', ')}${hint}`);
}

function detect(env: Env): ProviderName {
  const { provider } = detectProvider({ env });
  if (provider !== 'demo') return provider;
  throw new UsageError(
    `Say which provider: --provider ${PROVIDER_NAMES.join('|')} (demo needs no key)`,
  );
}

/** Error texts name no variable: what stands there may be the key itself, put in the wrong place. */
async function readGivenKey(
  fromStdin: boolean,
  variable: string | undefined,
  env: Env,
): Promise<Secret | undefined> {
  if (fromStdin && variable !== undefined) {
    throw new UsageError('Give the key once: --key-stdin or --api-key-env');
  }
  if (variable !== undefined) {
    const value = env[variable];
    if (value !== undefined) return parseKey(value);
    throw new ExoclawError('config_error', 'The variable that --api-key-env names is not set');
  }
  if (!fromStdin) return undefined;
  if (process.stdin.isTTY) {
    throw new UsageError('--key-stdin reads a pipe; leave it out to type the key unseen');
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_STDIN_BYTES) throw new UsageError('Standard input is too long for a key');
  }
  return parseKey(Buffer.concat(chunks).toString('utf8'));
}

function describe({ provider, model, config, key }: OnboardResult): string {
  const kept = key === 'file' ? 'the stored one' : key === 'none' ? 'none needed' : `from ${key}`;
  const lines = [
    ['provider', PROVIDERS[provider].title],
    ['model', model],
    ['key', key === 'stored' ? 'stored, readable by you only' : kept],
    ['configuration', config],
  ] as const;
  return `Ready.
${formatPairs(lines).replaceAll(/^/gm, '  ')}

Next: "exoclaw chat" right here, or "exoclaw gateway" to serve other clients.`;
}
