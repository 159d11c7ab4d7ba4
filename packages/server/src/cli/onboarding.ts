/**
 * What onboarding changes: the default agent's provider in the configuration, and the provider's
 * key in its file. Both are checked as a whole and written aside before either is put in place, so
 * that a failure leaves everything as it was.
 */
import { stageKey, readKey } from '../config/credentials.ts';
import { parseDocument } from '../config/document.ts';
import { removeValue, setValue } from '../config/edit.ts';
import { type Env, readLayout } from '../config/env.ts';
import { parseConfig, readConfigText } from '../config/load.ts';
import { PROVIDERS } from '../config/providers.ts';
import { type StagedFile, stageFile } from '../config/write.ts';
import { ExoclawError, isSystemError } from '../lib/error.ts';
import type { Secret } from '../lib/secret.ts';
import type { ProviderName } from '../llm/provider.ts';
import { UsageError } from './output.ts';

export interface OnboardChoice {
  readonly provider: ProviderName;
  /** Default: what the file has for this provider, else the provider's own default. */
  readonly model: string | undefined;
  readonly baseUrl: string | undefined;
  /** Undefined: none is needed, or the one that is there stays. */
  readonly key: Secret | undefined;
}

export interface OnboardResult {
  readonly provider: ProviderName;
  readonly model: string;
  readonly config: string;
  /** `stored`: just now; `file`: was stored before; a variable's name; or `none`. */
  readonly key: string;
  readonly warnings: readonly string[];
}

const NEW_FILE = `# The configuration of exoclaw. "exoclaw config check" says whether it is right,
# "exoclaw config schema" what may stand in it. Keys are never kept here.

[agent]
`;

/** The agent's provider, model and endpoint as the file has them; unchecked. */
export function readCurrentAgent(env: Env): Readonly<Record<string, unknown>> {
  const { config } = readLayout(env);
  const { agent } = parseDocument(readConfigText(config) ?? '', config).value;
  return typeof agent === 'object' && agent !== null ? { ...agent } : {};
}

/**
 * @throws {UsageError} when something has to be given that was not.
 * @throws {ExoclawError} config_error when the file or the key can't be used; nothing is written.
 */
export function applyOnboarding(choice: OnboardChoice, env: Env): OnboardResult {
  const { config: path } = readLayout(env);
  const text = editConfig(choice, env);
  const { config } = parseConfig(text, { path, env });
  const agent = config.agents.find(({ id }) => id === config.defaultAgentId);
  if (agent === undefined) throw new TypeError('Onboarding has left no default agent');
  const found = readKey(choice.provider, { env });
  if (choice.key === undefined && PROVIDERS[choice.provider].key === 'required') {
    if (found.secret === undefined) throw missingKey(choice.provider);
  }

  write(path, () => {
    const staged: StagedFile[] = [];
    try {
      if (choice.key !== undefined) staged.push(stageKey(choice.provider, choice.key, { env }));
      staged.push(stageFile(path, text));
    } catch (error) {
      for (const file of staged) file.discard();
      throw error;
    }
    for (const file of staged) file.commit();
  });
  const shadowed = choice.key !== undefined && ![undefined, 'file'].includes(found.source);
  return {
    provider: agent.provider,
    model: agent.model,
    config: path,
    key: choice.key === undefined ? (found.source ?? 'none') : 'stored',
    warnings: shadowed
      ? [`${found.source} is set in the environment and wins over the key that was stored`]
      : [],
  };
}

function editConfig(choice: OnboardChoice, env: Env): string {
  const { provider, model, baseUrl } = choice;
  const current = readCurrentAgent(env);
  const isSame = current['provider'] === provider;
  const kept = isSame && typeof current['model'] === 'string' ? current['model'] : undefined;
  const wanted = model ?? kept ?? PROVIDERS[provider].defaultModel;
  if (wanted === undefined) throw new UsageError(`Provider "${provider}" needs --model`);
  const hasUrl = baseUrl !== undefined || (isSame && current['base_url'] !== undefined);
  if (PROVIDERS[provider].needsBaseUrl && !hasUrl) {
    throw new UsageError(`Provider "${provider}" needs --base-url`);
  }

  let text = readConfigText(readLayout(env).config) ?? NEW_FILE;
  text = setValue(text, ['agent', 'provider'], provider);
  text = setValue(text, ['agent', 'model'], wanted);
  if (baseUrl !== undefined) text = setValue(text, ['agent', 'base_url'], baseUrl);
  // The endpoint belongs to the provider it was written for.
  else if (!isSame) text = removeValue(text, ['agent', 'base_url']);
  return text;
}

function missingKey(provider: ProviderName): ExoclawError {
  const [variable] = PROVIDERS[provider].keyVariables;
  return new ExoclawError(
    'config_error',
    `No key for provider "${provider}": set ${variable}, or give one with --key-stdin or --api-key-env`,
  );
}

/** Turns what the file system says into a sentence for the person at the terminal. */
function write(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    // Both kinds of error have a `code`.
    if (error instanceof ExoclawError || !isSystemError(error)) throw error;
    const reason = error.code ?? error.message;
    const message = `Cannot write to ${error.path ?? path} (${reason}); nothing was changed`;
    throw new ExoclawError('config_error', message, { cause: error });
  }
}
