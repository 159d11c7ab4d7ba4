/** `plugin.*`: what is loaded, loading at run time, and calling an export by hand. */
import type { MethodResult } from '@exoclaw/protocol';
import type { PluginInfo } from '../../plugins/plugins.ts';
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';

type PluginHandlers = Pick<
  Handlers,
  'plugin.list' | 'plugin.load' | 'plugin.unload' | 'plugin.call'
>;

export function createPluginHandlers({ options }: GatewayContext): PluginHandlers {
  const { plugins } = options;

  return {
    'plugin.list': () => ({ plugins: plugins.list().map(toWirePlugin) }),

    'plugin.load': async ({ name, path }) =>
      toWirePlugin(
        await plugins.load({
          name,
          ...(path === undefined ? {} : { path }),
        }),
      ),

    'plugin.unload': async ({ name }) => ({ unloaded: await plugins.unload(name) }),

    'plugin.call': async ({ name, export: exportName, input }) => {
      // Its own limit of time ends the call; that its caller is gone does not undo it.
      const { signal } = new AbortController();
      const text = typeof input === 'string' ? input : JSON.stringify(input ?? {});
      const result = await plugins.call(name, exportName, text, { signal });
      const logs = result.logs.map(({ level, text }) => ({ level, text }));
      return result.ok
        ? {
            ok: true,
            output: new TextDecoder().decode(result.output),
            logs,
            duration_ms: result.durationMs,
          }
        : {
            ok: false,
            error: { code: result.error.code, message: result.error.message },
            logs,
            duration_ms: result.durationMs,
          };
    },
  };
}

/** A plugin as clients see it. */
export function toWirePlugin(plugin: PluginInfo): MethodResult<'plugin.load'> {
  const { name, type, version, description, channel, digest, state, error } = plugin;
  return {
    name,
    type,
    ...(version === undefined ? {} : { version }),
    description,
    tools: [...plugin.tools],
    ...(channel === undefined ? {} : { channel }),
    capabilities: [...plugin.capabilities],
    digest,
    state,
    ...(error === undefined ? {} : { error }),
  };
}
