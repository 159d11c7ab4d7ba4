/** What tests of this folder share: a home of their own, and a look at it without root's rights. */
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const NOBODY = 65_534;

export function createHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'exoclaw-home-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

/** Runs something as a person for whom permissions count; root passes them all. */
export function withoutRoot<Result>(owned: string, run: () => Result): Result {
  if (process.getuid?.() !== 0) return run();
  chownSync(owned, NOBODY, NOBODY);
  process.seteuid?.(NOBODY);
  try {
    return run();
  } finally {
    process.seteuid?.(0);
  }
}
