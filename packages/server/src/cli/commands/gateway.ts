/** `exoclaw gateway`: the daemon, until a signal. */
import { defineCommand } from 'citty';
import { processEnv } from '../../config/env.ts';
import { formatDiagnostic } from '../../config/diagnostic.ts';
import { loadConfig } from '../../config/load.ts';
import { VERSION } from '../../config/version.ts';
import { openDaemon, type Daemon } from '../../daemon.ts';
import { createLog } from '../../lib/log.ts';
import { paint } from '../format.ts';
import { EXIT, output, warn } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

export default defineCommand({
  meta: { description: 'Run the gateway: WebSocket and webhooks' },
  args: {
    ...COMMON_ARGS,
    port: { type: 'string', description: 'TCP port; 0 takes a free one' },
    bind: { type: 'string', description: 'Address to listen on' },
    token: { type: 'string', description: 'Token clients must send; better: EXOCLAW_TOKEN' },
    demo: { type: 'boolean', description: 'Answer with the offline demo model', default: false },
  },
  async run({ args }) {
    const env = processEnv();
    const flags = { port: args.port, bind: args.bind, token: args.token, demo: args.demo };
    const { config, warnings } = loadConfig({ env, flags });
    for (const warning of warnings) warn(formatDiagnostic(warning));
    const log = createLog(config.log.level, { pretty: process.stderr.isTTY });
    const daemon = await openDaemon({ env, flags, log });
    announce(daemon, args.json);

    const signals = waitForSignals();
    await signals.first;
    log.info({ running: daemon.dispatcher.active }, 'stopping: running turns may finish');
    const drained = daemon.drain();
    const timedOut = AbortSignal.timeout(config.gateway.limits.drainSeconds * 1000);
    await Promise.race([
      drained,
      new Promise((resolve) => timedOut.addEventListener('abort', resolve, { once: true })),
    ]);
    await daemon[Symbol.asyncDispose]();
    // Timers of idle connections to a provider would keep the process.
    process.exit(EXIT.ok);
  },
});

/** The first signal asks for a graceful end; the second one ends the process at once. */
function waitForSignals(): { readonly first: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      seen += 1;
      if (seen > 1) process.exit(EXIT.failure);
      resolve();
    });
  }
  return { first: promise };
}

function announce(daemon: Daemon, json: boolean): void {
  const { url, loaded } = daemon;
  const agents = loaded.config.agents.map(({ id, provider, model }) => ({ id, provider, model }));
  const plugins = daemon.plugins.list().map(({ name, state, error }) => ({ name, state, error }));
  const { summary } = daemon.sandbox.status();
  const value = { version: VERSION, url, demo: daemon.demo, agents, plugins, sandbox: summary };
  output(json, value, () => {
    const bold = (text: string) => paint('bold', text, process.stdout);
    const lines = [`exoclaw ${VERSION} is listening on ${bold(url)}`];
    for (const { id, provider, model } of agents) lines.push(`  agent ${id}: ${provider} ${model}`);
    for (const { name, state, error } of plugins) {
      lines.push(`  plugin ${name}: ${state}${error === undefined ? '' : `: ${error}`}`);
    }
    lines.push(`  ${summary}`, '');
    if (daemon.demo) {
      lines.push(
        'No API key yet, so an offline demo model answers. To add a key: npx exoclaw onboard',
      );
    }
    lines.push(`Talk to it from another terminal: ${bold('npx exoclaw chat')}`);
    return lines.join('\n');
  });
}
