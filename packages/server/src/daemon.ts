/**
 * The composition root: makes every part from the configuration, hands each what it needs, and
 * closes them in reverse. It is also where a changed configuration is taken over: what can change
 * while running is read through `current` at each message, and the rest waits for a restart.
 */
import { createAgents } from './agents.ts';
import { createLocalBus } from './bus/local.ts';
import { findBundledPlugin } from './bundled.ts';
import { ConfigError, formatDiagnostic } from './config/diagnostic.ts';
import { type Env, readLayout } from './config/env.ts';
import { loadConfig, type ConfigFlags, type LoadedConfig } from './config/load.ts';
import type { BindingConfig, Config } from './config/resolve.ts';
import { VERSION } from './config/version.ts';
import { watchConfig } from './config/watch.ts';
import { openGateway } from './gateway/server.ts';
import { systemClock, type Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import { TaskGroup } from './lib/tasks.ts';
import { BreakerRegistry } from './llm/breaker.ts';
import { createWindowMemory } from './memory/window.ts';
import type { BudgetLimits } from './meter/budget.ts';
import { createMeter } from './meter/meter.ts';
import { createPrices } from './meter/price.ts';
import { createPluginManager, type ConfiguredPlugins } from './plugins/manager.ts';
import type { Binding } from './router/binding.ts';
import { openDispatcher, type Dispatcher } from './router/dispatcher.ts';
import { createRouter, type Router } from './router/router.ts';
import type { Sandbox, SandboxStatus, VarStore } from './sandbox/plugin.ts';
import { openSandbox } from './sandbox/sandbox.ts';
import { openSqliteStore } from './store/sqlite/sqlite.ts';

/** Runs at the same time over all sessions; the others wait in their lanes. */
const MAX_RUNNING = 1024;

export interface DaemonOptions {
  readonly env: Env;
  readonly flags?: ConfigFlags;
  readonly log: Log;
  readonly clock?: Clock;
}

export interface Daemon extends AsyncDisposable {
  readonly loaded: LoadedConfig;
  /** Where it listens, such as `http://127.0.0.1:7200`. */
  readonly url: string;
  readonly dispatcher: Dispatcher;
  readonly plugins: ConfiguredPlugins;
  readonly sandbox: Pick<Sandbox, 'status'>;
  /** Whether the offline demo model answers for some agent. */
  readonly demo: boolean;
  /** Takes nothing new and resolves when the running turns have ended. */
  drain(): Promise<void>;
  /** Takes over what changed in the configuration file; a broken one changes nothing. */
  reload(): Promise<void>;
}

/** What a reload replaces. */
interface Current {
  config: Config;
  router: Router;
  agents: ReturnType<typeof createAgents>;
  budgets: BudgetLimits;
}

/**
 * Starts everything; when it resolves, the gateway answers.
 * @throws {ExoclawError} config_error or store_error, or what the listening socket says.
 */
export async function openDaemon(options: DaemonOptions): Promise<Daemon> {
  const { env, flags = {}, log, clock = systemClock } = options;
  await using stack = new AsyncDisposableStack();
  const loaded = withDefaults(loadConfig({ env, flags }));
  const { config } = loaded;

  const breakers = new BreakerRegistry({ clock });
  const resolve = (next: Config): Current => ({
    config: next,
    router: createRouter({
      bindings: next.bindings.map(toBinding),
      defaultAgentId: next.defaultAgentId,
    }),
    agents: createAgents(next, { env, clock, log, breakers }),
    budgets: toBudgetLimits(next),
  });
  let current = resolve(config);

  // A sandbox process takes longer to start than all the rest: it starts first, beside the rest.
  const vars = Promise.withResolvers<VarStore>();
  const opening = openSandbox({
    minimum: config.sandbox.minimum,
    ...(config.sandbox.processes === undefined ? {} : { maxProcesses: config.sandbox.processes }),
    vars: {
      read: async (name) => (await vars.promise).read(name),
      write: async (...change) => (await vars.promise).write(...change),
    },
    log,
  });
  stack.defer(async () => (await opening)[Symbol.asyncDispose]());

  const store = stack.use(
    await openSqliteStore({
      path: config.store.ephemeral ? ':memory:' : config.store.path,
      synchronous: config.store.synchronous,
    }),
  );
  vars.resolve({ read: (name) => store.readVars(name), write: (...c) => store.writeVars(...c) });
  const meter = createMeter({
    store,
    clock,
    prices: createPrices(() => current.config.prices),
    budgets: () => current.budgets,
  });
  const interrupted = await meter.recover();
  if (interrupted > 0) log.warn({ calls: interrupted }, 'model calls were cut by the last stop');

  const sandbox = await opening;
  const plugins = stack.use(createPluginManager({ sandbox, log }));
  const bus = stack.use(createLocalBus({ store }));
  const tasks = stack.use(
    new TaskGroup((name, error) => log.error({ err: error, task: name }, 'background task failed')),
  );
  await plugins.apply(config.plugins);
  const dispatcher = stack.use(
    await openDispatcher({
      store,
      bus,
      router: () => current.router,
      agent: (id) => current.agents.get(id),
      run: {
        memory: createWindowMemory({ store, log }),
        meter,
        tools: plugins,
        clock,
        log,
        limits: {
          maxModelCalls: config.run.maxModelCalls,
          maxParallelTools: config.run.maxParallelTools,
          maxRepeats: config.run.maxRepeats,
          maxMs: config.run.maxSeconds * 1000,
        },
      },
      lanes: { maxQueued: config.gateway.limits.queue, maxRunning: MAX_RUNNING },
    }),
  );

  const isDemo = () => current.config.agents.some(({ provider }) => provider === 'demo');
  const { bind, port, allowedOrigins, allowedHosts, limits, token } = config.gateway;
  const gateway = stack.use(
    await openGateway({
      bind,
      port,
      allowedOrigins,
      allowedHosts,
      limits,
      token,
      version: VERSION,
      metrics: config.telemetry.metrics,
      demo: isDemo(),
      router: () => current.router,
      dispatcher,
      plugins,
      store,
      meter,
      status: async () => ({
        agents: current.config.agents.map(({ id, provider, model, tools }) => ({
          id,
          provider,
          model,
          tools: [...tools],
        })),
        bus: bus.describe(),
        sandbox: toSandboxStatus(sandbox.status()),
        sessions: await store.countSessions(),
      }),
      ready: () => true,
      log,
      clock,
    }),
  );

  const reload = async (): Promise<void> => {
    let next: LoadedConfig;
    try {
      next = withDefaults(loadConfig({ env, flags }));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const problem of error.diagnostics) log.error(formatDiagnostic(problem));
      log.error('the configuration was not taken over; the old one stays');
      return;
    }
    for (const name of restartKeys(current.config, next.config)) {
      log.warn(`[${name}] has changed; it takes effect at the next start`);
    }
    current = resolve(next.config);
    await plugins.apply(next.config.plugins);
    log.info('configuration taken over');
  };

  const watching = new AbortController();
  stack.defer(() => watching.abort());
  tasks.run('watch configuration', async () => {
    const { credentials } = readLayout(env);
    for await (const _change of watchConfig([loaded.path, credentials], watching)) await reload();
  });

  const owned = stack.move();
  return {
    loaded,
    url: gateway.url,
    dispatcher,
    plugins,
    sandbox,
    get demo() {
      return isDemo();
    },
    async drain() {
      gateway.drain();
      await dispatcher.drain();
    },
    reload,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A first start without any file: our own echo tool, so that there is a tool to see at work. */
function withDefaults(loaded: LoadedConfig): LoadedConfig {
  const path = loaded.exists ? undefined : findBundledPlugin('echo');
  if (path === undefined) return loaded;
  const { config } = loaded;
  const echo = {
    name: 'echo',
    path,
    capabilities: [],
    allowUnverified: false,
    config: {},
    limits: {},
  };
  return {
    ...loaded,
    config: {
      ...config,
      plugins: [echo],
      agents: config.agents.map((agent) => ({ ...agent, tools: ['echo'] })),
    },
  };
}

function toBinding(config: BindingConfig): Binding {
  const { agentId, channel, accountId, peerId, guildId, teamId, roles } = config;
  return {
    agentId,
    ...(channel === undefined ? {} : { channel }),
    ...(accountId === undefined ? {} : { account: accountId }),
    ...(peerId === undefined ? {} : { peer: peerId }),
    ...(guildId === undefined ? {} : { guild: guildId }),
    ...(teamId === undefined ? {} : { team: teamId }),
    ...(roles === undefined ? {} : { roles }),
  };
}

function toBudgetLimits(config: Config): BudgetLimits {
  const agents = config.agents.map(({ id, budgets }) => [id, budgets] as const);
  return { ...config.budgets, agents: Object.fromEntries(agents) };
}

function toSandboxStatus({ level, walls, summary, processes }: SandboxStatus) {
  return { level, walls: [...walls], summary, processes };
}

/** Sections that are read once, at start. */
const START_SECTIONS = ['gateway', 'store', 'bus', 'sandbox', 'run', 'log', 'telemetry'] as const;

function restartKeys(before: Config, after: Config): readonly string[] {
  return START_SECTIONS.filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );
}
