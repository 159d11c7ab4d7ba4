/** The examinations of `doctor`. Each looks at one subject and never throws. */
import { chmodSync } from 'node:fs';
import { createConnection } from 'node:net';
import { readKey, keyPath } from '../config/credentials.ts';
import { ConfigError, formatDiagnostic } from '../config/diagnostic.ts';
import type { Env } from '../config/env.ts';
import { loadConfig } from '../config/load.ts';
import { PROVIDER_NAMES, PROVIDERS } from '../config/providers.ts';
import type { Config } from '../config/resolve.ts';
import { VERSION } from '../config/version.ts';
import type { Clock } from '../lib/clock.ts';
import { toMessage } from '../lib/error.ts';
import { createSilentLog } from '../lib/log.ts';
import { createPluginManager } from '../plugins/manager.ts';
import { openSandbox } from '../sandbox/sandbox.ts';
import { checkSqlite, repairSqlite } from '../store/sqlite/repair.ts';

export interface Finding {
  readonly subject: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly text: string;
  readonly remedy?: string;
}

export interface Examination {
  readonly env: Env;
  readonly clock: Clock;
  /** Mend what can be mended without a decision of a person. */
  readonly fix: boolean;
}

/** Looks at everything, in the order in which a start would meet it. */
export async function examine(options: Examination): Promise<readonly Finding[]> {
  const findings: Finding[] = [
    { subject: 'version', state: 'ok', text: `exoclaw ${VERSION} on Node ${process.version}` },
  ];
  let config: Config;
  try {
    const loaded = loadConfig({ env: options.env });
    config = loaded.config;
    const where = loaded.exists ? loaded.path : 'none, defaults are used';
    findings.push({ subject: 'configuration', state: 'ok', text: where });
    for (const warning of loaded.warnings) {
      findings.push({
        subject: 'configuration',
        state: 'warning',
        text: formatDiagnostic(warning),
      });
    }
  } catch (error) {
    return [...findings, ...toConfigProblems(error)];
  }
  findings.push(
    ...examineKeys(config, options),
    examineStore(config, options),
    ...(await examineSandbox(config)),
    await examineGateway(config),
  );
  return findings;
}

function toConfigProblems(error: unknown): readonly Finding[] {
  const problems =
    error instanceof ConfigError ? error.diagnostics.map(formatDiagnostic) : [toMessage(error)];
  return problems.map((text) => ({
    subject: 'configuration',
    state: 'problem',
    text,
    remedy: 'correct the line; "exoclaw config check" looks again',
  }));
}

function examineKeys(config: Config, { env, fix }: Examination): readonly Finding[] {
  const findings: Finding[] = [];
  for (const provider of PROVIDER_NAMES) {
    const used = config.agents.some(
      (agent) => agent.provider === provider || agent.fallback?.provider === provider,
    );
    const { secret, source, warning } = readKey(provider, { env });
    const subject = `key of ${provider}`;
    if (warning !== undefined) {
      const mended = fix && secret !== undefined && source === 'file' && makePrivate(provider, env);
      const text = mended ? 'was readable by others; its rights were corrected' : warning;
      findings.push({ subject, state: mended ? 'ok' : 'warning', text });
    } else if (secret !== undefined) {
      findings.push({ subject, state: 'ok', text: `from ${source}` });
    } else if (used && PROVIDERS[provider].key === 'required') {
      const remedy = 'run "exoclaw onboard"';
      findings.push({ subject, state: 'problem', text: 'there is none', remedy });
    }
  }
  if (config.agents.every(({ provider }) => provider === 'demo')) {
    findings.push({
      subject: 'model',
      state: 'warning',
      text: 'only the offline demo model answers',
      remedy: 'run "exoclaw onboard" to add a key',
    });
  }
  return findings;
}

function makePrivate(provider: (typeof PROVIDER_NAMES)[number], env: Env): boolean {
  try {
    chmodSync(keyPath(provider, { env }), 0o600);
    return true;
  } catch {
    // The warning that it is readable stays; that says what to do.
    return false;
  }
}

function examineStore(config: Config, { clock, fix }: Examination): Finding {
  const subject = 'store';
  const { path, ephemeral } = config.store;
  if (ephemeral) {
    const text = 'in memory only: everything is lost when the gateway stops';
    return { subject, state: 'warning', text };
  }
  const { kind, problems } = checkSqlite(path);
  if (kind === 'ok') return { subject, state: 'ok', text: path };
  if (kind === 'missing') return { subject, state: 'ok', text: `${path}, made at the first start` };
  const text = problems.join('; ');
  if (kind === 'refused') return { subject, state: 'problem', text };
  if (!fix) {
    const remedy = 'run "exoclaw doctor --fix": it keeps a copy and saves what can be read';
    return { subject, state: 'problem', text, remedy };
  }
  try {
    const { backup } = repairSqlite(path, clock.now());
    const kept = backup === undefined ? '' : `; the damaged file is kept as ${backup}`;
    return { subject, state: 'ok', text: `${path} was rebuilt from what could be read${kept}` };
  } catch (error) {
    return { subject, state: 'problem', text: toMessage(error) };
  }
}

async function examineSandbox(config: Config): Promise<readonly Finding[]> {
  const log = createSilentLog();
  try {
    await using sandbox = await openSandbox({ minimum: config.sandbox.minimum, log });
    await using plugins = createPluginManager({ sandbox, log });
    await plugins.apply(config.plugins);
    const { level, summary } = sandbox.status();
    const text = summary.replace(/^sandbox: /u, '');
    return [
      { subject: 'sandbox', state: level === 'seatbelt' ? 'warning' : 'ok', text },
      ...plugins.list().map(({ name, error, tools, channel }): Finding => {
        const subject = `plugin ${name}`;
        if (error === undefined) return { subject, state: 'ok', text: channel ?? tools.join(', ') };
        return { subject, state: 'problem', text: error };
      }),
    ];
  } catch (error) {
    return [{ subject: 'sandbox', state: 'problem', text: toMessage(error) }];
  }
}

async function examineGateway({ gateway }: Config): Promise<Finding> {
  const subject = 'gateway';
  const { bind, port } = gateway;
  const answers = await new Promise<boolean>((resolve) => {
    const socket = createConnection({ host: bind, port, timeout: 1000 });
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
  if (answers) return { subject, state: 'ok', text: `something answers at ${bind}:${port}` };
  const remedy = 'start it with "exoclaw gateway"';
  return { subject, state: 'ok', text: `nothing listens at ${bind}:${port}`, remedy };
}
