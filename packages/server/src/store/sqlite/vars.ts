/** Variables of plugins. The quota counts the bytes of keys (UTF-8) and values. */
import { z } from 'zod';
import type { Store } from '../store.ts';
import type { Database } from './open.ts';
import { parseRow, parseRows } from './rows.ts';

const varRow = z.object({ key: z.string(), value: z.instanceof(Uint8Array) });
const sizeRow = z.object({ keys: z.int(), bytes: z.int() });

export function createVars(db: Database): Pick<Store, 'readVars' | 'writeVars'> {
  const list = db.prepare('SELECT key, value FROM plugin_var WHERE plugin = ? ORDER BY key');
  const put = db.prepare(
    `INSERT INTO plugin_var (plugin, key, value) VALUES (?, ?, ?)
     ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value`,
  );
  const remove = db.prepare('DELETE FROM plugin_var WHERE plugin = ? AND key = ?');
  const size = db.prepare(
    `SELECT count(*) AS keys, coalesce(sum(octet_length(key) + octet_length(value)), 0) AS bytes
     FROM plugin_var WHERE plugin = ?`,
  );

  return {
    readVars: (plugin) =>
      db.read(
        () => new Map(parseRows(varRow, list.all(plugin)).map((row) => [row.key, row.value])),
      ),

    writeVars: (plugin, changes, quota) =>
      db.write((undo) => {
        for (const [key, value] of changes) {
          if (value === undefined) remove.run(plugin, key);
          else put.run(plugin, key, value);
        }
        const { keys, bytes } = parseRow(sizeRow, size.get(plugin));
        const fits = keys <= quota.maxKeys && bytes <= quota.maxBytes;
        if (!fits) undo();
        return fits;
      }),
  };
}
