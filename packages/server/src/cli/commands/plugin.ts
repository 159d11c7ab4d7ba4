/** `exoclaw plugin`: load, unload, list, call and inspect plugins. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { defineCommand } from 'citty';
import { isSystemError } from '../../lib/error.ts';
import { parseManifest } from '../../plugins/manifest.ts';
import { toOutcome } from '../../plugins/tool.ts';
import type { SandboxPlugin } from '../../sandbox/plugin.ts';
import { openSandbox } from '../../sandbox/sandbox.ts';
import { connectGateway, GATEWAY_ARGS } from '../connect.ts';
import { escapeControl, formatPairs, formatTable } from '../format.ts';
import { EXIT, note, output, UsageError } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

const ARGS = { ...COMMON_ARGS, ...GATEWAY_ARGS };
const NAME = {
  name: { type: 'positional', required: true, description: 'Name of the plugin' },
} as const;
const FILE = {
  file: { type: 'positional', required: true, description: 'The .wasm file' },
} as const;
const GRANT = {
  grant: { type: 'string', description: 'Capabilities to grant, separated by commas' },
} as const;

const list = defineCommand({
  meta: { description: 'Loaded plugins with their tools and grants' },
  args: ARGS,
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const { plugins } = await client.call('plugin.list', {});
    output(args.json, { plugins }, () =>
      plugins.length === 0
        ? 'No plugins; add one under [[plugins]] in the configuration'
        : escapeControl(
            formatTable(
              ['name', 'type', 'state', 'offers', 'grants', 'digest'],
              plugins.map((plugin) => [
                plugin.name,
                plugin.type,
                plugin.error ?? plugin.state,
                plugin.channel ?? plugin.tools.join(', '),
                plugin.capabilities.join(', '),
                plugin.digest.slice(0, 12),
              ]),
            ),
          ),
    );
  },
});

const load = defineCommand({
  meta: { description: 'Load a plugin of the configuration, or a file, into the gateway' },
  args: {
    ...ARGS,
    ...NAME,
    path: { type: 'string', description: 'The .wasm file; default: as configured' },
  },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const loaded = await client.call('plugin.load', {
      name: args.name,
      ...(args.path === undefined ? {} : { path: path.resolve(args.path) }),
    });
    output(args.json, loaded, () => escapeControl(`Loaded ${loaded.name} (${loaded.digest})`));
  },
});

const unload = defineCommand({
  meta: { description: 'Unload a plugin; calls that run finish first' },
  args: { ...ARGS, ...NAME },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const result = await client.call('plugin.unload', { name: args.name });
    output(args.json, result, () =>
      result.unloaded ? `Unloaded ${args.name}` : `No plugin "${args.name}" is loaded`,
    );
    return result.unloaded ? EXIT.ok : EXIT.failure;
  },
});

const call = defineCommand({
  meta: { description: 'Call an export of a .wasm file in the sandbox; needs no gateway' },
  args: {
    ...COMMON_ARGS,
    ...FILE,
    ...GRANT,
    export: { type: 'positional', required: true, description: 'Such as handle_tool_call' },
    input: { type: 'positional', required: false, description: 'The input', default: '{}' },
  },
  run: ({ args }) =>
    withPlugin(args.file, toGrants(args.grant), async (plugin) => {
      const result = await plugin.call(args.export, args.input);
      const outcome = toOutcome(result);
      const { logs, durationMs } = result;
      for (const { level, text } of logs) note(escapeControl(`${level}: ${text}`));
      output(args.json, { ...outcome, durationMs, logs }, () => escapeControl(outcome.content));
      return outcome.isError ? EXIT.failure : EXIT.ok;
    }),
});

const inspect = defineCommand({
  meta: { description: 'What a .wasm file exports and says of itself; needs no gateway' },
  args: { ...COMMON_ARGS, ...FILE, ...GRANT },
  run: ({ args }) =>
    withPlugin(args.file, toGrants(args.grant), async (plugin) => {
      const { digest, exports } = plugin;
      const described = await plugin.call('describe', '{}');
      const manifest = described.ok
        ? parseManifest(new TextDecoder().decode(described.output))
        : undefined;
      const tools = manifest?.type === 'tool' ? manifest.tools : [];
      const value = {
        digest,
        exports,
        name: manifest?.name,
        type: manifest?.type,
        description: manifest?.description,
        tools: tools.map(({ name, description, inputSchema }) => ({
          name,
          description,
          input_schema: inputSchema,
        })),
        ...(described.ok ? {} : { error: described.error.message }),
      };
      output(args.json, value, () =>
        escapeControl(
          formatPairs([
            ['digest', digest],
            ['exports', exports.join(', ')],
            ['name', value.name ?? ''],
            ['type', value.type ?? ''],
            // The author's words, and shown as such.
            ['says', JSON.stringify(value.description ?? value.error ?? '')],
            ...tools.map(({ name }) => ['tool', name] as const),
          ]),
        ),
      );
      return described.ok ? EXIT.ok : EXIT.failure;
    }),
});

async function withPlugin(
  file: string,
  grants: readonly string[],
  use: (plugin: SandboxPlugin) => Promise<number>,
): Promise<number> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (isSystemError(error)) throw new UsageError(`Cannot read "${file}": ${error.code}`);
    throw error;
  }
  await using sandbox = await openSandbox();
  const name = path.basename(file, '.wasm');
  await using plugin = await sandbox.load({ name, bytes, grants });
  return await use(plugin);
}

function toGrants(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((grant) => grant.trim())
    .filter((grant) => grant !== '');
}

export default defineCommand({
  meta: { description: 'Load, try and inspect plugins' },
  subCommands: { list, load, unload, call, inspect },
});
