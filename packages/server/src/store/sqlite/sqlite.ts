/**
 * The default store: one SQLite file, in this process, on this thread. Each group of tables has
 * its own file beside this one; here they become a `Store`.
 */
import type { Store } from '../store.ts';
import { createBudgets } from './budgets.ts';
import { createInbox } from './inbox.ts';
import { createLedger } from './ledger.ts';
import { SCHEMA_VERSION } from './migrations.ts';
import { openDatabase, type DatabaseOptions } from './open.ts';
import { createRuns } from './runs.ts';
import { createSessions } from './sessions.ts';
import { createVars } from './vars.ts';

export interface SqliteStoreOptions {
  /** A file, created with its folder when absent (mode 0600), or `:memory:`. */
  readonly path: string;
  /** `full` also survives a power cut, at several times the cost. Default `normal`. */
  readonly synchronous?: DatabaseOptions['synchronous'];
}

/**
 * Opens the store and brings its schema up to date.
 * @throws {ExoclawError} store_error when the file is in use by another gateway, damaged, written
 *   by a newer version, or cannot be created.
 */
export async function openSqliteStore({
  path,
  synchronous = 'normal',
}: SqliteStoreOptions): Promise<Store> {
  const db = openDatabase({ path, synchronous });
  const ledger = createLedger(db);
  return {
    describe: () => ({
      engine: 'sqlite',
      ephemeral: path === ':memory:',
      schema: SCHEMA_VERSION,
    }),
    ...createInbox(db),
    ...createRuns(db),
    ...createSessions(db),
    ...createBudgets(db, ledger),
    ...createVars(db),
    sumUsage: ledger.sumUsage,
    listUsage: ledger.listUsage,
    [Symbol.asyncDispose]: async () => db.close(),
  };
}
