/**
 * Loads and unloads plugins, at start and while the gateway runs. Loading reads the file once,
 * verifies and compiles it, and asks it to `describe` itself; any failure leaves everything as it
 * was. A plugin that fails at start does not stop the gateway: it is listed with its reason.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { ExoclawError, toMessage } from '../lib/error.ts';
import type { Log } from '../lib/log.ts';
import type { PluginLimits, Sandbox, SandboxPlugin } from '../sandbox/plugin.ts';
import { createChannelAdapter } from './channel.ts';
import { parseManifest, type Manifest } from './manifest.ts';
import type { ChannelAdapter, PluginInfo, PluginManager } from './plugins.ts';
import { createTool } from './tool.ts';
import type { Tool, ToolSource } from './tools.ts';

const MAX_MODULE_BYTES = 64 * 1024 * 1024;
const DESCRIBE_DEADLINE_MS = 5_000;

/** A plugin as the operator configured it. */
export interface PluginConfig {
  readonly name: string;
  /** Absolute path of the `.wasm` file. */
  readonly path: string;
  /** SHA-256 the file must have, lowercase hex. */
  readonly digest?: string | undefined;
  readonly capabilities: readonly string[];
  readonly config: Readonly<Record<string, string>>;
  readonly allowUnverified: boolean;
  readonly limits?: Partial<PluginLimits> | undefined;
}

interface LoadedPlugin {
  readonly config: PluginConfig;
  readonly handle: SandboxPlugin;
  readonly manifest: Manifest;
  readonly tools: ReadonlyMap<string, Tool>;
  readonly channel: ChannelAdapter | undefined;
}

export interface ConfiguredPlugins extends PluginManager, ToolSource {
  /** Brings what is loaded in line with a new configuration; failures are listed, not thrown. */
  apply(configs: readonly PluginConfig[]): Promise<void>;
}

export function createPluginManager(options: {
  readonly sandbox: Sandbox;
  readonly log: Log;
}): ConfiguredPlugins {
  const { sandbox, log } = options;
  const loaded = new Map<string, LoadedPlugin>();
  const failed = new Map<string, { readonly config: PluginConfig; readonly error: string }>();
  let configured: readonly PluginConfig[] = [];

  async function open(config: PluginConfig): Promise<LoadedPlugin> {
    const bytes = await readModule(config);
    const handle = await sandbox.load({
      name: config.name,
      bytes,
      grants: config.capabilities,
      config: config.config,
      ...(config.limits === undefined ? {} : { limits: config.limits }),
    });
    try {
      return toLoaded(config, handle, await describe(handle), () => sandbox.status().walls);
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
  }

  function assertNoClash(plugin: LoadedPlugin): void {
    for (const other of loaded.values()) {
      if (other.config.name === plugin.config.name) continue;
      const clash = [...plugin.tools.keys()].find((name) => other.tools.has(name));
      if (clash !== undefined) {
        throw new SyntaxError(
          `tool "${clash}" is already offered by plugin "${other.config.name}"`,
        );
      }
      if (plugin.channel !== undefined && plugin.channel.channel === other.channel?.channel) {
        throw new SyntaxError(
          `channel "${plugin.channel.channel}" is already served by plugin "${other.config.name}"`,
        );
      }
    }
  }

  async function loadPlugin(config: PluginConfig): Promise<PluginInfo> {
    let plugin: LoadedPlugin;
    try {
      plugin = await open(config);
    } catch (error) {
      throw toLoadError(config.name, error);
    }
    try {
      assertNoClash(plugin);
    } catch (error) {
      await plugin.handle[Symbol.asyncDispose]();
      throw toLoadError(config.name, error);
    }
    const previous = loaded.get(config.name);
    loaded.set(config.name, plugin);
    failed.delete(config.name);
    await previous?.handle[Symbol.asyncDispose]();
    log.info({ plugin: config.name, digest: plugin.handle.digest }, 'plugin loaded');
    return toInfo(plugin);
  }

  async function unloadPlugin(name: string): Promise<boolean> {
    const plugin = loaded.get(name);
    if (plugin === undefined) return failed.delete(name);
    loaded.delete(name);
    await plugin.handle[Symbol.asyncDispose]();
    log.info({ plugin: name }, 'plugin unloaded');
    return true;
  }

  return {
    list: () => [
      ...[...loaded.values()].map(toInfo),
      ...[...failed.values()].map(({ config, error }) => toFailedInfo(config, error)),
    ],
    async load({ name, path }) {
      const known = configured.find((config) => config.name === name);
      const file = path ?? known?.path;
      if (file === undefined) {
        throw new ExoclawError(
          'not_found',
          `No plugin "${name}" in the configuration; add it under [[plugins]] or give a "path"`,
        );
      }
      return loadPlugin({
        name,
        path: file,
        digest: path === undefined ? known?.digest : undefined,
        capabilities: known?.capabilities ?? [],
        config: known?.config ?? {},
        allowUnverified: known?.allowUnverified ?? false,
        limits: known?.limits,
      });
    },
    unload: unloadPlugin,
    async call(name, exportName, input, { signal }) {
      const plugin = loaded.get(name);
      if (plugin === undefined) {
        throw new ExoclawError(
          'not_found',
          `No plugin "${name}" is loaded; see "exoclaw plugin list"`,
        );
      }
      return plugin.handle.call(exportName, input, { signal });
    },
    findChannel(channel) {
      for (const plugin of loaded.values()) {
        if (plugin.channel?.channel === channel) return plugin.channel;
      }
      return undefined;
    },
    toolsOf(names) {
      const tools = new Map<string, Tool>();
      for (const name of names) {
        for (const [toolName, tool] of loaded.get(name)?.tools ?? []) tools.set(toolName, tool);
      }
      return tools;
    },
    async apply(configs) {
      configured = configs;
      const wanted = new Map(configs.map((config) => [config.name, config]));
      for (const name of [...loaded.keys(), ...failed.keys()]) {
        if (!wanted.has(name)) await unloadPlugin(name);
      }
      await Promise.all(
        configs.map(async (config) => {
          const current = loaded.get(config.name);
          if (current !== undefined && isSameConfig(current.config, config)) return;
          try {
            await loadPlugin(config);
          } catch (error) {
            log.error({ plugin: config.name, err: error }, 'plugin not loaded');
            if (current === undefined) {
              failed.set(config.name, { config, error: toMessage(error) });
            }
          }
        }),
      );
    },
    async [Symbol.asyncDispose]() {
      const handles = [...loaded.values()].map(({ handle }) => handle);
      loaded.clear();
      await Promise.all(handles.map((handle) => handle[Symbol.asyncDispose]()));
    },
  };
}

async function readModule(config: PluginConfig): Promise<Uint8Array> {
  const { size } = await stat(config.path);
  if (size > MAX_MODULE_BYTES) {
    throw new SyntaxError(`the file has ${size} bytes; at most ${MAX_MODULE_BYTES} are allowed`);
  }
  const bytes = await readFile(config.path);
  if (config.digest !== undefined) {
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (digest !== config.digest) {
      throw new SyntaxError(
        `the file has the digest ${digest}, the configuration says ${config.digest}`,
      );
    }
  }
  return bytes;
}

async function describe(handle: SandboxPlugin): Promise<Manifest> {
  const isTool = handle.exports.includes('handle_tool_call');
  const isChannel = handle.exports.includes('parse_incoming');
  if (!handle.exports.includes('describe') || (!isTool && !isChannel)) {
    throw new SyntaxError(
      'the module exports neither a tool ("describe", "handle_tool_call") nor a channel ("describe", "parse_incoming", "format_outgoing")',
    );
  }
  const result = await handle.call('describe', '{}', { deadlineMs: DESCRIBE_DEADLINE_MS });
  if (!result.ok) {
    throw new SyntaxError(`"describe" failed: ${result.error.code}: ${result.error.message}`);
  }
  const manifest = parseManifest(new TextDecoder().decode(result.output));
  if (manifest.type === 'tool' && !isTool) {
    throw new SyntaxError('"describe" names a tool, but "handle_tool_call" is not exported');
  }
  if (manifest.type === 'channel_adapter' && !handle.exports.includes('format_outgoing')) {
    throw new SyntaxError('"describe" names a channel, but "format_outgoing" is not exported');
  }
  return manifest;
}

function toLoaded(
  config: PluginConfig,
  handle: SandboxPlugin,
  manifest: Manifest,
  walls: () => readonly string[],
): LoadedPlugin {
  if (manifest.type === 'channel_adapter') {
    const { channel, verify } = manifest;
    const { allowUnverified } = config;
    const adapter = createChannelAdapter({ plugin: handle, channel, verify, allowUnverified });
    return { config, handle, manifest, tools: new Map(), channel: adapter };
  }
  const { several } = manifest;
  const tools = new Map(
    manifest.tools.map((tool) => [
      tool.name,
      createTool({ plugin: handle, manifest: tool, several, walls }),
    ]),
  );
  return { config, handle, manifest, tools, channel: undefined };
}

function toInfo({ config, handle, manifest, tools, channel }: LoadedPlugin): PluginInfo {
  return {
    name: config.name,
    type: manifest.type,
    version: manifest.version,
    description: manifest.description,
    tools: [...tools.keys()],
    channel: channel?.channel,
    capabilities: config.capabilities,
    digest: handle.digest,
    state: 'ready',
    error: undefined,
  };
}

function toFailedInfo(config: PluginConfig, error: string): PluginInfo {
  return {
    name: config.name,
    type: 'tool',
    version: undefined,
    description: '',
    tools: [],
    channel: undefined,
    capabilities: config.capabilities,
    digest: '',
    state: 'failed',
    error,
  };
}

function isSameConfig(a: PluginConfig, b: PluginConfig): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function toLoadError(name: string, error: unknown): ExoclawError {
  const reason =
    error instanceof Error && 'code' in error && error.code === 'ENOENT'
      ? 'there is no such file'
      : toMessage(error);
  return new ExoclawError('plugin_error', `Cannot load plugin "${name}": ${reason}`, {
    cause: error,
  });
}
