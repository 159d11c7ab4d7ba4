/**
 * A process that writes to a store as fast as it can and, after each call has resolved, says so in
 * a line on its output. The test kills it. Arguments: path of the store, prefix of the ids.
 */
import { writeSync } from 'node:fs';
import { answer, makeLedgerRow, makeLine, makeMessage, makeReservation } from '../test/harness.ts';
import { openSqliteStore } from './sqlite.ts';

const [, , path = '', name = ''] = process.argv;
const store = await openSqliteStore({ path });
const epoch = await store.nextEpoch();
const acknowledge = (line: string): void => {
  writeSync(1, `${line}\n`);
};

for (let n = 0; ; n += 1) {
  const id = `${name}-${n}`;
  const message = makeMessage(id);
  await store.putInbox(message);
  acknowledge(`inbox ${id}`);
  await store.beginRun(message, epoch, n);
  acknowledge(`begun ${id}`);
  await store.reserve(makeReservation(id, [makeLine('all')]));
  await store.settle(makeLedgerRow(id));
  acknowledge(`settled ${id}`);
  await answer(store, message, epoch, n);
  acknowledge(`committed ${id}`);
}
