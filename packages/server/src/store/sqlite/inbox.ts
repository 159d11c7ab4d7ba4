/** Accepted messages that wait for their run to be committed, in the order of acceptance. */
import { z } from 'zod';
import type { Store } from '../store.ts';
import type { Database } from './open.ts';
import { inboundSchema, jsonColumn, parseRows } from './rows.ts';

const inboxRow = z.object({ body: jsonColumn(inboundSchema) });

export function createInbox(db: Database): Pick<Store, 'putInbox' | 'removeInbox' | 'listInbox'> {
  const insert = db.prepare('INSERT INTO inbox (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING');
  const remove = db.prepare('DELETE FROM inbox WHERE id = ?');
  const list = db.prepare('SELECT body FROM inbox ORDER BY n');

  return {
    putInbox: (message, done = []) =>
      db.write(() => {
        for (const id of done) remove.run(id);
        return insert.run(message.id, JSON.stringify(message)).changes === 1;
      }),

    removeInbox: (ids) =>
      db.write(() => {
        for (const id of ids) remove.run(id);
      }),

    listInbox: () => db.read(() => parseRows(inboxRow, list.all()).map(({ body }) => body)),
  };
}
