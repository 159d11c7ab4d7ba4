/** Keeps the vars of plugins in memory: they last as long as the sandbox is open. */
import type { VarStore } from './plugin.ts';

export function createMemoryVarStore(): VarStore {
  const plugins = new Map<string, ReadonlyMap<string, Uint8Array>>();
  const read = (plugin: string) => plugins.get(plugin) ?? new Map<string, Uint8Array>();
  return {
    read: (plugin) => Promise.resolve(read(plugin)),
    write: (plugin, changes, quota) => {
      const next = new Map(read(plugin));
      for (const [key, value] of changes) {
        if (value === undefined) next.delete(key);
        else next.set(key, value);
      }
      let bytes = 0;
      for (const [key, value] of next) bytes += Buffer.byteLength(key) + value.length;
      const fits = bytes <= quota.maxBytes && next.size <= quota.maxKeys;
      if (fits) plugins.set(plugin, next);
      return Promise.resolve(fits);
    },
  };
}
