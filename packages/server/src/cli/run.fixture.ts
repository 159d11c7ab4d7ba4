/** Runs the installed command in a process and a home of its own, as a person would. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

export const BIN = join(import.meta.dirname, '../../bin/exoclaw.js');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly node?: string;
  /** Default: the entry of the package. */
  readonly bin?: string;
}

export function createHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'exoclaw-cli-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

export async function runExoclaw(
  home: string,
  args: readonly string[],
  { env = {}, input = '', node = process.execPath, bin = BIN }: RunOptions = {},
): Promise<Outcome> {
  const child = spawn(node, [bin, ...args], { env: { HOME: home, EXOCLAW_HOME: home, ...env } });
  // A command that does not read its input closes it.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [code, stdout, stderr] = await Promise.all([
    closed,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}
