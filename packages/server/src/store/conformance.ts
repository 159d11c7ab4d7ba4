/**
 * What every engine of the store must do, as `node:test` suites. An engine's own test file calls
 * `testStore` with a way to open an empty store and to open the same data again.
 */
import { suite } from 'node:test';
import { testBudgets } from './test/budgets.ts';
import { testInbox } from './test/inbox.ts';
import { testRuns } from './test/runs.ts';
import { testSessions } from './test/sessions.ts';
import { testUsage } from './test/usage.ts';
import { testVars } from './test/vars.ts';
import type { OpenStore } from './test/harness.ts';

export type { OpenStore } from './test/harness.ts';

/** Registers the suites for one engine. */
export function testStore(name: string, open: OpenStore): void {
  void suite(`${name}: inbox`, () => testInbox(open));
  void suite(`${name}: runs`, () => testRuns(open));
  void suite(`${name}: sessions`, () => testSessions(open));
  void suite(`${name}: budgets`, () => testBudgets(open));
  void suite(`${name}: usage`, () => testUsage(open));
  void suite(`${name}: plugin variables`, () => testVars(open));
}
